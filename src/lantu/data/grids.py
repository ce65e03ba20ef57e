"""Code grids of several shapes in one array: a row for each picture, with height, width and codes in reading order.

Rows are as long as the largest grid needs; what is left of a row is 0. Shapes: N pictures, h w grid.
"""

from collections.abc import Sequence

import numpy as np

SIDES = 2  # numbers before the codes


class Grids:
    """Reads such rows as an array (N, h, w) is read.

    Args:
        rows: (N, 2 + most) uint16.
    """

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | Sequence[int] | np.ndarray) -> np.ndarray:
        """(h, w) uint16 of one picture, or (n, h, w) of several with the same sides.

        Raises:
            ValueError: they are of several shapes.
        """
        rows = np.atleast_2d(np.asarray(self.rows[index]))
        sides = np.unique(rows[:, :SIDES], axis=0).astype(int)
        if len(sides) != 1:
            raise ValueError(f"grids of {len(sides)} shapes in one array")
        height, width = sides[0].tolist()
        codes_nhw = rows[:, SIDES : SIDES + height * width].reshape(-1, height, width)
        return codes_nhw[0] if np.ndim(index) == 0 else codes_nhw

    @property
    def fit(self) -> bool:
        """Whether every row is long enough for the grid that it says it has."""
        sides = np.asarray(self.rows[:, :SIDES], np.int64)
        return bool((sides > 0).all() and (sides.prod(1) <= self.rows.shape[1] - SIDES).all())


def as_row(codes_nhw: np.ndarray, length: int) -> np.ndarray:
    """(n, length) uint16: rows of some grids of one shape."""
    count, height, width = codes_nhw.shape
    rows = np.zeros((count, length), np.uint16)
    rows[:, :SIDES] = height, width
    rows[:, SIDES : SIDES + height * width] = codes_nhw.reshape(count, -1)
    return rows
