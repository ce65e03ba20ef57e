import pytest

from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import LantuError


def test_the_first_picture_has_the_seed_itself():
    assert derive_seed(7, 0) == 7


def test_derived_seeds_differ_and_stay_exact_in_json():
    seeds = [derive_seed(seed, index) for seed in range(20) for index in range(1, 20)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_a_given_seed_is_kept_and_a_missing_one_is_random():
    assert choose_seed(2**63 - 1) == 2**63 - 1
    assert choose_seed(None) != choose_seed(None)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range(seed):
    with pytest.raises(LantuError, match="out of range"):
        choose_seed(seed)
