"""Logits processors: biases added to the logits while a draft is sampled. Shapes: h w grid, K codebook size.

A processor is the ``bias`` of a ``Request``. Guidance, temperature, top-k and top-p are no processors: see
``lantu.kernels.Choice``.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from lantu.types import MASK_CODE

CACHED_ROWS = 64  # several drafts under one control advance together, with draft tokens


class ControlLogitsProcessor:
    """Biases the logits of the next code towards a control picture.

    The bias of a code depends on the codes of the rows above, not on those of its own row, so it is computed once a
    row.

    Args:
        row_bias: (a grid of codes that is known above a row, that row's index) → (w, K) float32.
        grid: rows and columns of codes.
        codes_of: ids of codes (int64) → codes.
    """

    def __init__(
        self,
        row_bias: Callable[[np.ndarray, int], np.ndarray],
        grid: tuple[int, int],
        codes_of: Callable[[np.ndarray], np.ndarray],
    ):
        self.compute, self.grid, self.codes_of = row_bias, grid, codes_of
        self.after_rows = lru_cache(CACHED_ROWS)(self.after_rows)

    def __reduce__(self):
        return type(self), (self.compute, self.grid, self.codes_of)  # a cache can't be packed for another process

    def __call__(self, ids: Sequence[int]) -> np.ndarray:
        """The bias of the next code after these ids: (K) float32."""
        row, column = divmod(len(ids), self.grid[1])
        return self.after_rows(tuple(ids[: row * self.grid[1]]))[column]

    def after_rows(self, ids: tuple[int, ...]) -> np.ndarray:
        """The biases of the row of codes after these complete rows: (w, K) float32."""
        codes_hw = np.full(self.grid, MASK_CODE)
        codes_hw.flat[: len(ids)] = self.codes_of(np.array(ids, int))
        return self.compute(codes_hw, len(ids) // self.grid[1])
