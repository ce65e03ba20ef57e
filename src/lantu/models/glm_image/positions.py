"""The two grids of a drawing, and where their codes stand: three-dimensional rotary positions (t, h, w).

Text advances all three by one an id. A grid stands at one time; h and w run over its rows and columns; whatever comes
next begins max(h, w) later (m-RoPE, arXiv:2409.12191). Source: transformers' ``GlmImageModel.get_rope_index``.

Shapes: N ids.
"""

import math

import numpy as np

from lantu.models.glm_image.config import PREVIEW
from lantu.models.spec import Grid


def preview_grid(grid: Grid) -> Grid:
    """Height and width of the small grid that is drafted before a grid: about 16 x 16, of the same proportions."""
    ratio = grid[0] / grid[1]
    # Rounded as transformers does, one way for each side: square roots of a ratio and of its inverse.
    return int(math.sqrt(ratio) * PREVIEW), int(math.sqrt(1 / ratio) * PREVIEW)


def drafted(grid: Grid) -> int:
    """Ids that a drawing of a grid takes: those of the small grid and its own."""
    small = preview_grid(grid)
    return small[0] * small[1] + grid[0] * grid[1]


def positions(prefix: int, grid: Grid) -> np.ndarray:
    """(N, 3) int64: time, row and column of a prefix of so many ids, of the small grid and of the grid."""
    text_N = np.arange(prefix, dtype=np.int64)
    parts, start = [np.stack([text_N] * 3, -1)], prefix
    for height, width in (preview_grid(grid), grid):
        rows, columns = np.divmod(np.arange(height * width, dtype=np.int64), width)
        parts.append(start + np.stack([np.zeros_like(rows), rows, columns], -1))
        start += max(height, width)
    return np.concatenate(parts)
