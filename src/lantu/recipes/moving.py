"""How much a round trip depends on where the grid of codes lies on a picture.

Shapes: B pictures, H W pixels.
"""

from collections.abc import Callable

import numpy as np

from lantu.evaluation.metrics import psnr

MOVES = 8  # distances, at most


def worst_fall(rebuild: Callable[[np.ndarray], np.ndarray], pictures_BHW3: np.ndarray, patch: int) -> float | None:
    """By how many dB the PSNR of round trips falls at most when the pictures are moved by less than a cell.

    Only what is still in the picture is compared, so that both are the same content.

    Args:
        rebuild: pictures (B, H, W, 3) uint8 → the same through codes.
        patch: pixels a side of a cell.

    Returns:
        the fall, negative where every move helps; None where a cell is one pixel.
    """
    before_BHW3, falls = rebuild(pictures_BHW3), []
    for pixels in distances(patch):
        there = moved(pictures_BHW3, pixels)
        pairs = ((pictures_BHW3, before_BHW3, slice(None, -pixels)), (there, rebuild(there), slice(pixels, None)))
        still, after = (float(psnr(real[:, kept, kept], made[:, kept, kept]).mean()) for real, made, kept in pairs)
        falls.append(still - after)
    return max(falls, default=None)


def distances(patch: int) -> list[int]:
    """Some of the distances in pixels that are shorter than a cell."""
    return sorted(set(np.linspace(1, patch - 1, MOVES).round().astype(int).tolist())) if patch > 1 else []


def moved(pictures_BHW3: np.ndarray, pixels: int) -> np.ndarray:
    """Pictures moved down and right, the edge repeated."""
    rim = ((0, 0), (pixels, 0), (pixels, 0), (0, 0))
    return np.pad(pictures_BHW3, rim, "edge")[:, : pictures_BHW3.shape[1], : pictures_BHW3.shape[2]]
