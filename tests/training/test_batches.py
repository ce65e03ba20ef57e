import pytest
import torch
from toy_task import ToyTask

from lantu.errors import DataError
from lantu.training.batches import Batches
from lantu.training.config import LoopConfig
from lantu.training.loop import train


class Counting:
    """Its batches are their own numbers."""

    def batch(self, step, size):
        return step


def taken(**arguments):
    plain = {"size": 1, "accumulate": 1, "start": 0, "stop": 4}
    with Batches(Counting(), **{**plain, **arguments}) as batches:
        return [batches.take() for _ in range(batches.stop - arguments.get("start", 0))]


def test_they_come_in_order_from_anywhere():
    assert taken() == [[0], [1], [2], [3]]
    assert taken(start=2) == [[2], [3]]
    assert taken(accumulate=2, start=1, stop=3) == [[2, 3], [4, 5]]


def test_ranks_share_what_one_process_would_accumulate():
    ranks = [taken(rank=rank, world=2) for rank in (0, 1)]
    assert [left + right for left, right in zip(*ranks, strict=True)] == taken(accumulate=2)


def test_torch_keeps_its_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        taken()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Corrupt(ToyTask):
    def batch(self, step, size):
        if step == 5:
            raise DataError("shard 3 is damaged", "build the data again")
        return super().batch(step, size)


def test_what_goes_wrong_in_the_background_is_told(tmp_path):
    with pytest.raises(DataError, match="shard 3"):
        train(Corrupt(), LoopConfig(steps=10, device="cpu"), tmp_path, progress=False)
