"""Tasks that fail on their way."""

from types import SimpleNamespace

import pytest

from lantu.tasks.effects import Compute, Draft
from lantu.tasks.run import run_one


class Picky:
    """A drafter that refuses its second request."""

    def __init__(self):
        self.kept = []

    def submit(self, request, on_step=None):
        if self.kept:
            raise ValueError("no")
        self.kept.append(request)
        return request

    def cancel(self, draft):
        self.kept.remove(draft)


def test_a_refused_request_cancels_those_before_it():
    drafter = Picky()

    def task():
        yield Draft(("first", "second"))

    with pytest.raises(ValueError, match="no"):
        run_one(SimpleNamespace(drafter=drafter, make_room=lambda stage: None), task())
    assert not drafter.kept


def test_work_that_runs_out_of_items_does_not_end_its_task():
    def task():
        return (yield Compute(lambda: next(iter(()))))

    with pytest.raises(RuntimeError, match="StopIteration"):
        run_one(SimpleNamespace(), task())
