"""What a picture of control makes of the codes of a draft, while it is drawn.

Shapes: h w grid, K codebook size.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from lantu.types import MASK_CODE

KEPT = 64  # rows; several drafts of one control go on together, and guess


class ControlLogitsProcessor:
    """What is to be added to the logits of the code that comes next, called with the ids of those before it: (K).

    The codes of all rows above are known to it, those of its own row are not: so it is computed once a row.

    Args:
        of_row: a grid of codes, known down to a row, and that row's number → (w, K) float32.
        first_code: the id of code 0.
    """

    def __init__(self, of_row: Callable[[np.ndarray, int], np.ndarray], grid: tuple[int, int], first_code: int):
        self.compute, self.grid, self.first_code = of_row, grid, first_code
        self.row_behind = lru_cache(KEPT)(self.row_behind)

    def __call__(self, ids: Sequence[int]) -> np.ndarray:
        row, column = divmod(len(ids), self.grid[1])
        return self.row_behind(tuple(ids[: row * self.grid[1]]))[column]

    def row_behind(self, ids: tuple[int, ...]) -> np.ndarray:
        """(w, K), of the row that follows."""
        codes_hw = np.full(self.grid, MASK_CODE)
        codes_hw.flat[: len(ids)] = np.array(ids, int) - self.first_code
        return self.compute(codes_hw, len(ids) // self.grid[1])
