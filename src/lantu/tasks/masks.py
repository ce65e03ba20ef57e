"""Which cells of a picture are redrawn, and how they are blended into the old picture.

Shapes: H W pixels, h w grid, P pixels a side of a cell.
"""

from typing import TYPE_CHECKING

import numpy as np

from lantu.errors import ImageError
from lantu.images import to_mask, to_rgb, widened

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]


def cells(size: tuple[int, int], patch: int, box: Box | None, mask: "Image | None") -> np.ndarray:
    """The cells that a box or a mask touches, (h, w) bool; all cells, if neither is given.

    Raises:
        ImageError: both are given; or see ``cells_of_box`` and ``cells_of_mask``.
    """
    if box is not None and mask is not None:
        raise ImageError("a box and a mask", "give one of them")
    return cells_of_box(box or (0, 0, *size), size, patch) if mask is None else cells_of_mask(mask, size, patch)


def cells_of_box(box: Box, size: tuple[int, int], patch: int) -> np.ndarray:
    """The cells that a box touches: (h, w) bool.

    Args:
        box: x0, y0, x1, y1 in pixels; x1 and y1 are exclusive.
        size: width and height of the picture.

    Raises:
        ImageError: the box is empty, or extends beyond the picture.
    """
    x0, y0, x1, y1 = box
    width, height = size
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        edges = ",".join(f"{edge:g}" for edge in box)
        raise ImageError(
            f"the box {edges} does not fit in a picture of {width}x{height}", "give x0,y0,x1,y1, x0 < x1, y0 < y1"
        )
    holes = np.zeros((height // patch, width // patch), bool)
    rows, columns = slice(int(y0) // patch, -int(-y1 // patch)), slice(int(x0) // patch, -int(-x1 // patch))
    holes[rows, columns] = True
    return holes


def cells_of_mask(mask: "Image", size: tuple[int, int], patch: int) -> np.ndarray:
    """The cells that a mask touches: (h, w) bool.

    Args:
        mask: as large as the picture, of any mode; transparent where the picture is to be redrawn or, if nothing is
            transparent, light: see ``images.to_mask``.

    Raises:
        ImageError: the mask is of another size, or marks nothing.
    """
    mask = to_mask(mask)
    if mask.size != size:
        sizes = "{}x{}, the picture {}x{}".format(*mask.size, *size)
        raise ImageError(f"the mask has {sizes}", "give a mask as large as the picture")
    marked_HW = np.asarray(mask) > 0
    height, width = size[1] // patch, size[0] // patch
    holes = np.asarray(marked_HW.reshape(height, patch, width, patch).any((1, 3)))
    if not holes.any():
        raise ImageError("the mask marks nothing", "make the area to be redrawn transparent or white")
    return holes


def blend(before: "Image", after: "Image", holes: np.ndarray) -> "Image":
    """The new picture in the holes, fading to the old one within one cell around them; no pixel beyond changes."""
    from PIL import Image

    patch = before.size[0] // holes.shape[1]
    weight_HW = np.repeat(np.repeat(holes.astype(np.float32), patch, 0), patch, 1)
    weight_HW = np.maximum(weight_HW, faded(weight_HW, patch))[..., None]
    old, new = (np.asarray(to_rgb(picture), np.float32) for picture in (before, after))
    return Image.fromarray(np.rint(old + weight_HW * (new - old)).astype(np.uint8))


def faded(weight_HW: np.ndarray, reach: int) -> np.ndarray:
    """1 in the marked area, falling to 0 within ``reach`` pixels of it (Chebyshev distance)."""
    out, grown = weight_HW, weight_HW
    for step in range(1, reach):
        grown = widened(grown)
        out = np.maximum(out, grown * (1 - step / reach))
    return out
