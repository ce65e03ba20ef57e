"""The order in which pictures are trained on: a pure function of the position, so a run resumes exactly."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Order:
    """An endless stream of epochs, each in a different random order.

    Args:
        length: number of pictures.
        seed: another seed, another order.
    """

    length: int
    seed: int = 0

    def __post_init__(self):
        if self.length < 1:
            raise ValueError(f"no order of {self.length} pictures")

    def indices(self, start: int, count: int) -> np.ndarray:
        """(count,) int64: the pictures at positions ``start``, ``start + 1``, … of the stream."""
        first, last = start // self.length, (start + count) // self.length
        epochs = [_permutation(self.length, self.seed, epoch) for epoch in range(first, last + 1)]
        offset = start - first * self.length
        return np.concatenate(epochs)[offset : offset + count]


@lru_cache(maxsize=8)
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(length)
