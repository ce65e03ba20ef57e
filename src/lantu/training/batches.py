"""Batches that are prepared ahead of time in one background thread."""

import collections
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from lantu.training.task import Task

AHEAD = 2  # updates whose batches are prepared ahead


class Batches:
    """The batches of consecutive updates.

    Args:
        start: the first update.
        stop: the update before which it ends.
        rank, world: each of several processes takes batches of its own.
    """

    def __init__(self, task: Task, size: int, accumulate: int, start: int, stop: int, rank: int = 0, world: int = 1):
        self.task, self.size, self.accumulate, self.stop = task, size, accumulate, stop
        self.rank, self.world = rank, world
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        # torch uses one thread in the background. The setting belongs to a thread, but torch also applies it
        # to threads that start later, so it is reset.
        threads = torch.get_num_threads()
        self.pool.submit(torch.set_num_threads, 1).result()
        torch.set_num_threads(threads)
        self.waiting: collections.deque[Future[list[Any]]] = collections.deque()
        self.next = start
        for _ in range(AHEAD):
            self.order()

    def order(self) -> None:
        """Start preparing the next update's batches."""
        if self.next < self.stop:
            self.waiting.append(self.pool.submit(self.make, self.next))
            self.next += 1

    def make(self, update: int) -> list[Any]:
        """Make an update's batches; runs in the background thread."""
        return update_batches(self.task, update, self.size, self.accumulate, self.rank, self.world)

    def take(self) -> list[Any]:
        """The next update's batches."""
        batches = self.waiting.popleft().result()
        self.order()
        return batches

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)


def update_batches(source: Any, update: int, size: int, accumulate: int, rank: int, world: int) -> list[Any]:
    """One rank's batches of an update, by the ``batch`` of a task or of its feeder."""
    first = update * accumulate
    return [source.batch((first + micro) * world + rank, size) for micro in range(accumulate)]
