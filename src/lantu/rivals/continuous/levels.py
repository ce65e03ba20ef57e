"""Vectors as integers: each number is one of many even levels. Shapes: (...) any, E numbers of a vector."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Levels:
    """Even levels from -reach to +reach.

    Attributes:
        count: at least 2.
    """

    reach: float
    count: int

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """The nearest levels, int64; what lies beyond the reach is clipped."""
        share = (np.asarray(vectors, np.float64) / self.reach).clip(-1, 1)
        return np.rint((share + 1) / 2 * (self.count - 1)).astype(np.int64)

    def vectors(self, levels: np.ndarray) -> np.ndarray:
        """Levels as float32."""
        return ((np.asarray(levels) * (2 / (self.count - 1)) - 1) * self.reach).astype(np.float32)
