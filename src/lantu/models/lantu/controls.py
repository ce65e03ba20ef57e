"""What a picture can be controlled by, and how each kind is taken from a picture.

    edges    white lines on black where the picture has edges (Canny 1986)
    layout   white where things are to stand, on black
    colour   the picture in blocks of one colour

Shapes: H W pixels.
"""

import numpy as np

from lantu.images import widened

KINDS = ("edges", "layout", "colour")
STRONG, WEAK = 0.04, 0.015  # of the largest possible slope: the outline of a white cloud on white is in, grain is not
BLOCK = 16  # pixels a side of a block of one colour


def edges(picture: np.ndarray, coarse: float = 1.0) -> np.ndarray:
    """Edges of a picture (H, W, 3) uint8: (H, W) bool; ``coarse`` leaves out what is less than so many times as steep.

    Smoothed, sloped by Sobel in the channel with the steepest slope, thinned across the slope, and kept where they are
    strong or hang together with what is.
    """
    smooth = blurred(picture.astype(np.float32) / 255)
    right, down = sobel(smooth)
    steepness = np.hypot(right, down)
    channel = steepness.argmax(-1)[..., None]
    steep = np.take_along_axis(steepness, channel, -1)[..., 0] / np.float32(4 * 2**0.5)
    angle = np.arctan2(np.take_along_axis(down, channel, -1), np.take_along_axis(right, channel, -1))[..., 0]
    thin = thinned(steep, angle)
    return grown((thin >= coarse * STRONG), (thin >= coarse * WEAK))


def blurred(picture_HWC: np.ndarray) -> np.ndarray:
    """By a Gaussian of five pixels."""
    for axis in (0, 1):
        padded = np.pad(picture_HWC, [(2, 2) if at == axis else (0, 0) for at in range(3)], mode="edge")
        length = picture_HWC.shape[axis]
        shifted = [np.take(padded, range(at, at + length), axis) for at in range(5)]
        picture_HWC = np.tensordot(np.array([1, 4, 6, 4, 1], np.float32) / 16, np.stack(shifted), 1)
    return picture_HWC


def sobel(picture_HWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes to the right and down, (H, W, C) each."""
    p = np.pad(picture_HWC, [(1, 1), (1, 1), (0, 0)], mode="edge")
    right = p[:, 2:] - p[:, :-2]
    down = p[2:] - p[:-2]
    return right[:-2] + 2 * right[1:-1] + right[2:], down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]


def thinned(steep: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Only what is as steep as both its neighbours along the slope."""
    p = np.pad(steep, 1)
    height, width = steep.shape
    sector = np.round(angle / (np.pi / 4)).astype(int) % 4
    kept = np.zeros_like(steep)
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = p[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = p[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        kept = np.where((sector == number) & (steep >= ahead) & (steep > behind), steep, kept)
    return kept


def grown(strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """What is strong, and all that is weak and hangs together with it."""
    while True:
        wider = strong | (widened(strong) & weak)
        if (wider == strong).all():
            return strong
        strong = wider


def layout(boxes: "list[tuple[float, float, float, float]]", size: int) -> np.ndarray:
    """Boxes in fractions of the picture, filled: (H, W) bool."""
    filled = np.zeros((size, size), bool)
    for x0, y0, x1, y1 in boxes:
        left, top, right, bottom = (round(edge * size) for edge in (x0, y0, x1, y1))
        filled[top:bottom, left:right] = True
    return filled


def colour(picture: np.ndarray) -> np.ndarray:
    """The means of blocks, (H, W, 3) uint8; H and W are multiples of ``BLOCK``."""
    height, width = picture.shape[:2]
    blocks = picture.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3))
    return np.repeat(np.repeat(np.rint(blocks).astype(np.uint8), BLOCK, 0), BLOCK, 1)


def lit(mask: np.ndarray) -> np.ndarray:
    """White on black: (H, W) bool → (H, W, 3) uint8."""
    return np.repeat(mask[..., None].astype(np.uint8) * 255, 3, -1)


def agreement(first: np.ndarray, second: np.ndarray, reach: int = 1) -> float:
    """F1 of two edge maps (H, W) bool, an edge counting as met if the other has one within ``reach`` pixels."""
    if not first.any() or not second.any():
        return float(not first.any() and not second.any())
    precision, recall = (
        (first & widened(second, reach)).sum() / first.sum(),
        (second & widened(first, reach)).sum() / second.sum(),
    )
    return float(2 * precision * recall / max(precision + recall, 1e-9))
