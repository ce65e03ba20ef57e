"""The order in which pictures are trained on: a pure function of the position, so a run resumes exactly."""

from dataclasses import dataclass, field

import numpy as np

KEPT = 2  # epochs whose order is remembered


@dataclass
class Order:
    """An endless stream of epochs, each in a different random order.

    Args:
        length: number of pictures.
        seed: another seed, another order.
    """

    length: int
    seed: int = 0
    kept: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        if self.length < 1:
            raise ValueError(f"no order of {self.length} pictures")

    def indices(self, start: int, count: int) -> np.ndarray:
        """(count,) int64: the pictures at positions ``start``, ``start + 1``, … of the stream."""
        first, last = start // self.length, (start + count) // self.length
        epochs = [self.epoch(epoch) for epoch in range(first, last + 1)]
        offset = start - first * self.length
        return np.concatenate(epochs)[offset : offset + count]

    def epoch(self, number: int) -> np.ndarray:
        """(length,) int64: all pictures, in the order of an epoch."""
        found = self.kept.get(number)
        if found is None:
            found = np.random.default_rng((self.seed, number)).permutation(self.length)
            # Replaced, not changed: another thread may be reading.
            self.kept = {**dict(list(self.kept.items())[1 - KEPT :]), number: found}
        return found


class BatchOrder:
    """Batches of pictures of one shape each, in random order.

    The pictures of each shape are an endless stream of epochs (``Order``), cut into batches. An epoch of the whole
    consists of the batches that begin in the same epoch of their stream, shuffled. So each picture comes once an epoch,
    early or late by less than a batch; and a batch is found without those before it. Pictures of a single shape come in
    the order of ``Order`` itself.

    Args:
        shapes: (N, 2), height and width of each picture.
        seed: another seed, another order.

    Raises:
        ValueError: there is no picture.
    """

    def __init__(self, shapes: np.ndarray, seed: int = 0):
        self.groups, self.seed = groups(shapes), seed
        self.orders = [Order(len(group), seed) for group in self.groups]
        self.total = sum(map(len, self.groups))
        if not self.total:
            raise ValueError("no order of 0 pictures")
        self.shuffled: tuple[int, int, np.ndarray] | None = None

    def batch(self, step: int, size: int) -> np.ndarray:
        """(size,) int64: the pictures of a batch. A pure function of both arguments."""
        if len(self.groups) == 1:
            return self.orders[0].indices(step * size, size)
        epoch = step * size // self.total
        while self.before(epoch, size) > step:
            epoch -= 1
        while self.before(epoch + 1, size) <= step:
            epoch += 1
        group, number = self.batches(epoch, size)[step - self.before(epoch, size)]
        return self.groups[group][self.orders[group].indices(number * size, size)]

    def before(self, epoch: int, size: int) -> int:
        """How many batches begin before an epoch."""
        return sum(-(-epoch * len(group) // size) for group in self.groups)

    def batches(self, epoch: int, size: int) -> np.ndarray:
        """(batches, 2): group and number within its stream of each batch of an epoch."""
        if self.shuffled is None or self.shuffled[:2] != (epoch, size):
            found = [
                (index, number)
                for index, group in enumerate(self.groups)
                for number in range(-(-epoch * len(group) // size), -(-(epoch + 1) * len(group) // size))
            ]
            rng = np.random.default_rng((self.seed, epoch, size))
            self.shuffled = epoch, size, rng.permutation(np.array(found, np.int64).reshape(-1, 2))
        return self.shuffled[2]


def groups(shapes: np.ndarray) -> list[np.ndarray]:
    """The indices of the pictures of each shape, ascending; the largest group first."""
    if not len(shapes):
        return []
    _, of, counts = np.unique(shapes, axis=0, return_inverse=True, return_counts=True)
    ordered = np.argsort(-counts, kind="stable")
    return [np.flatnonzero(of.reshape(-1) == group) for group in ordered]


def turn(number: int, size: int, count: int) -> list[int]:
    """The indices of the ``number``-th batch of at most ``size`` of so many samples; none after the last."""
    return list(range(number * size, min((number + 1) * size, count)))


def in_turn(shapes: np.ndarray, number: int, size: int) -> np.ndarray:
    """The ``number``-th batch of at most ``size`` pictures of one shape, all pictures in turn; empty after the last."""
    for group in groups(shapes):
        batches = -(-len(group) // size)
        if number < batches:
            return group[number * size : (number + 1) * size]
        number -= batches
    return np.empty(0, np.int64)
