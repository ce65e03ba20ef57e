import math

import pytest

from lantu.data.pool import run_all


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(workers):
    assert sorted(run_all(math.isqrt, range(0, 100, 10), workers)) == [0, 3, 4, 5, 6, 7, 7, 8, 8, 9]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_ends_it(workers):
    with pytest.raises(ValueError, match="nonnegative"):
        list(run_all(math.isqrt, [4, -1, 9, 16, 25], workers))


def test_no_jobs_are_done_at_once():
    assert list(run_all(math.isqrt, [])) == []
