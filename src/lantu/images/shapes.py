"""The shapes in which pictures are kept: rectangles of about equal area on a grid of cells.

Pictures of one area cost a model the same, whatever their shape; sorting them into a few shapes makes batches possible
(aspect-ratio buckets, as NovelAI introduced them for diffusion models). Shapes: H W pixels.
"""

import math
from functools import lru_cache

Shape = tuple[int, int]  # height and width

LONGEST = 2.0  # the most times that a side is as long as the other; longer pictures are cropped
AREA = 0.07  # share by which areas may differ from the square's
# Pixels of a cell a side, and the fewest cells a side of the square with which it is used. Finer cells would sort the
# pictures into so many shapes that few had the same; 16 is the usual patch.
UNITS = ((64, 8), (32, 8), (16, 5), (8, 4), (4, 4), (2, 4), (1, 1))


def unit_of(size: int) -> int:
    """Pixels of a cell a side, for pictures as large as a square of ``size``."""
    return next(unit for unit, fewest in UNITS if size % unit == 0 and size >= fewest * unit)


@lru_cache(maxsize=64)
def shapes(size: int, unit: int) -> tuple[Shape, ...]:
    """All shapes (H, W) in pixels with sides that are multiples of ``unit`` and about the area of a square of ``size``.

    For 128 pixels in cells of 16: 128x128, 112x144, 96x160, 96x176 and the same upright. The most nearly square come
    first, and of one ratio the shape whose area is nearest.
    """
    cells = size // unit
    found = [
        (height * unit, width * unit)
        for height in range(1, 2 * cells + 1)
        for width in range(1, 2 * cells + 1)
        if is_shape((height, width), cells)
    ]
    return tuple(sorted(found, key=lambda shape: (ratio(shape), abs(shape[0] * shape[1] - size**2), shape)))


def is_shape(shape: Shape, side: int) -> bool:
    """Whether a rectangle is about as large as a square of ``side``, and not too long."""
    return max(shape) <= LONGEST * min(shape) and abs(shape[0] * shape[1] / side**2 - 1) <= AREA


def ratio(shape: Shape) -> float:
    """How far a shape is from a square: 0 or more."""
    return abs(math.log(shape[0] / shape[1]))


def nearest(height: int, width: int, size: int, unit: int) -> Shape:
    """The shape whose sides have most nearly the ratio of a picture's.

    Args:
        height, width: of the picture, in any unit.
        size, unit: see ``shapes``.
    """
    if height == width:
        return size, size
    return closest(height, width, shapes(size, unit))


def closest(height: int, width: int, among: tuple[Shape, ...]) -> Shape:
    """The first of some shapes whose sides have most nearly the ratio of ``height`` to ``width``."""
    wanted = math.log(height / width)
    return min(among, key=lambda shape: abs(math.log(shape[0] / shape[1]) - wanted))


def scaled(shape: Shape, before: int, size: int, unit: int) -> Shape:
    """The shape of a picture of another size: as it is if its sides are then multiples of ``unit``, else the nearest.

    Args:
        shape: of a picture as large as a square of ``before``.
        size, unit: see ``shapes``.
    """
    if all(side * size % (before * unit) == 0 for side in shape):
        return shape[0] * size // before, shape[1] * size // before
    return nearest(*shape, size, unit)
