"""Batches that other processes make, where the training is on a GPU and one thread of this process would be too slow.

Each process makes whole updates' batches from a copy of the task's ``feeder``; they are taken in order. As batches are
a pure function of the step, a run has the same ones with any number of processes, and after a kill.
"""

import signal
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lantu.errors import LantuError
from lantu.kernels import usable_cores
from lantu.training.batches import AHEAD, Batches, update_batches
from lantu.training.task import Task

MOST = 16  # processes that are started by themselves


class Updates(Dataset[Any]):
    """The batches of update after update.

    Args:
        feeder: makes them: its ``batch`` is that of the task.
        first, stop: updates.
    """

    def __init__(self, feeder: Any, size: int, accumulate: int, first: int, stop: int, rank: int, world: int):
        self.feeder, self.size, self.accumulate = feeder, size, accumulate
        self.first, self.stop, self.rank, self.world = first, stop, rank, world

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, index: int) -> Any:
        """An update's batches, or the error that a user should see."""
        try:
            return update_batches(self.feeder, self.first + index, self.size, self.accumulate, self.rank, self.world)
        except LantuError as problem:  # DataLoader would put a traceback into the message
            return problem


class Fed:
    """The same as ``Batches``, from ``workers`` processes. Arguments: see ``Batches``."""

    def __init__(
        self, task: Task, size: int, accumulate: int, start: int, stop: int, rank: int, world: int, workers: int
    ):
        updates = Updates(task.feeder, size, accumulate, start, stop, rank, world)
        # A forked process would inherit the locks that other threads, such as torch's, hold at that moment.
        self.loader = DataLoader(
            updates,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD,
            multiprocessing_context="spawn",
            worker_init_fn=begin,
            pin_memory=torch.cuda.is_available(),
        )
        self.made: Iterator[Any] | None = None

    def take(self) -> list[Any]:
        """The next update's batches. Raises what making them raised."""
        if self.made is None:
            self.made = iter(self.loader)
        batches = next(self.made)
        if isinstance(batches, LantuError):
            raise batches
        return batches

    def __enter__(self) -> "Fed":
        return self

    def __exit__(self, *_: object) -> None:
        self.made = None  # its processes end with it


def begin(worker: int) -> None:
    """Leave Ctrl-C to the parent, which writes a checkpoint first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def workers_for(wanted: int | None, device: torch.device, task: Task, world: int) -> int:
    """How many processes make batches; 0 for a thread of this one.

    Args:
        wanted: as the user says; None for the cores that a training on a GPU leaves over, and none on a CPU, whose
            cores are busy.
        world: processes that train on this machine.
    """
    if task.feeder is None:
        return 0
    if wanted is not None:
        return wanted
    if device.type == "cpu":
        return 0
    return min(MOST, max(1, usable_cores() // world - 1))


def feed(
    task: Task, size: int, accumulate: int, start: int, stop: int, rank: int, world: int, workers: int
) -> Batches | Fed:
    """The batches of consecutive updates, from so many processes, or a thread for 0. Arguments: see ``Batches``."""
    if not workers:
        return Batches(task, size, accumulate, start, stop, rank, world)
    return Fed(task, size, accumulate, start, stop, rank, world, workers)
