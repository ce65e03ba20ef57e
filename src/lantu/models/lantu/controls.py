"""Kinds of pictures of control, and how each is computed from a picture.

    edges    white lines on black where the picture has edges (Canny 1986)
    layout   white boxes on black where things are to stand
    colour   the picture in blocks of one colour

Canny is written out in NumPy: OpenCV or scikit-image would be a large dependency for sixty lines, and other thresholds
and smoothing than those that controls were trained with. Shapes: H W pixels, C channels.
"""

import numpy as np

from lantu.images import widened

KINDS = ("edges", "layout", "colour")
STRONG, WEAK = 0.04, 0.015  # of the largest possible slope: a white cloud's outline on white passes, grain doesn't
BLOCK = 16  # pixels a side of a block of one colour


def edges(picture: np.ndarray, coarse: float = 1.0) -> np.ndarray:
    """Edges of a picture (H, W, 3) uint8: (H, W) bool.

    Gaussian blur, Sobel in the channel with the steepest slope, non-maximum suppression, then hysteresis.

    Args:
        coarse: multiplies both thresholds: above 1 fewer edges remain.
    """
    smooth = gaussian_blur(picture.astype(np.float32) / 255)
    right, down = sobel(smooth)
    steepness = np.hypot(right, down)
    channel = steepness.argmax(-1)[..., None]
    steep = np.take_along_axis(steepness, channel, -1)[..., 0] / np.float32(4 * 2**0.5)
    angle = np.arctan2(np.take_along_axis(down, channel, -1), np.take_along_axis(right, channel, -1))[..., 0]
    thin = suppress_non_maxima(steep, angle)
    return hysteresis((thin >= coarse * STRONG), (thin >= coarse * WEAK))


def gaussian_blur(picture_HWC: np.ndarray) -> np.ndarray:
    """A binomial kernel of five pixels a side."""
    for axis in (0, 1):
        padded = np.pad(picture_HWC, [(2, 2) if at == axis else (0, 0) for at in range(3)], mode="edge")
        length = picture_HWC.shape[axis]
        shifted = [np.take(padded, range(at, at + length), axis) for at in range(5)]
        picture_HWC = np.tensordot(np.array([1, 4, 6, 4, 1], np.float32) / 16, np.stack(shifted), 1)
    return picture_HWC


def sobel(picture_HWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives to the right and down, (H, W, C) each."""
    p = np.pad(picture_HWC, [(1, 1), (1, 1), (0, 0)], mode="edge")
    right = p[:, 2:] - p[:, :-2]
    down = p[2:] - p[:-2]
    return right[:-2] + 2 * right[1:-1] + right[2:], down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]


def suppress_non_maxima(steep: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Zero each pixel that is less steep than one of its two neighbours along the slope."""
    p = np.pad(steep, 1)
    height, width = steep.shape
    sector = np.round(angle / (np.pi / 4)).astype(int) % 4
    kept = np.zeros_like(steep)
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        next_ = p[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        previous = p[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        kept = np.where((sector == number) & (steep >= next_) & (steep > previous), steep, kept)
    return kept


def hysteresis(strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """Strong pixels, and weak ones that are connected to them."""
    while True:
        wider = strong | (widened(strong) & weak)
        if (wider == strong).all():
            return strong
        strong = wider


def layout(boxes: list[tuple[float, float, float, float]], size: int) -> np.ndarray:
    """Filled boxes, given as (x0, y0, x1, y1) in fractions of the picture: (H, W) bool."""
    filled = np.zeros((size, size), bool)
    for x0, y0, x1, y1 in boxes:
        left, top, right, bottom = (round(edge * size) for edge in (x0, y0, x1, y1))
        filled[top:bottom, left:right] = True
    return filled


def colour(picture: np.ndarray) -> np.ndarray:
    """The mean colour of each block, (H, W, 3) uint8; the last of a side that is no multiple of ``BLOCK`` is cut."""
    height, width = picture.shape[:2]
    picture = np.pad(picture, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), "edge")
    rows, columns = (side // BLOCK for side in picture.shape[:2])
    blocks = picture.reshape(rows, BLOCK, columns, BLOCK, 3).mean((1, 3))
    return np.repeat(np.repeat(np.rint(blocks).astype(np.uint8), BLOCK, 0), BLOCK, 1)[:height, :width]


def lit(mask: np.ndarray) -> np.ndarray:
    """White where the mask is set, on black: (H, W) bool → (H, W, 3) uint8."""
    return np.repeat(mask[..., None].astype(np.uint8) * 255, 3, -1)


def agreement(first: np.ndarray, second: np.ndarray, reach: int = 1) -> float:
    """F1 of two edge maps (H, W) bool; an edge is found if the other map has one within ``reach`` pixels."""
    if not first.any() or not second.any():
        return float(not first.any() and not second.any())
    precision, recall = (
        (first & widened(second, reach)).sum() / first.sum(),
        (second & widened(first, reach)).sum() / second.sum(),
    )
    return float(2 * precision * recall / max(precision + recall, 1e-9))
