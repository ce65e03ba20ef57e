"""Finds the things on a picture with a plain or graded background, without knowing what they are.

Shapes: H W pixels, R pixels of the rim. Boxes are x0, y0, x1, y1 in pixels, ends excluded.
"""

import numpy as np

Box = tuple[int, int, int, int]

THRESHOLD = 28.0  # of 255: what differs more from the background belongs to a thing
RIM = 3  # pixels at the picture's edge that show the background
SPECK = 0.12  # a patch smaller than this share of the largest is a speck, not a thing
ROUNDS = 5


def background(image: np.ndarray) -> np.ndarray:
    """The plain or evenly graded colour behind the things: a plane per channel, fitted to the rim.

    Things that touch the rim are outvoted: each round weighs a pixel down by its distance from the last fit.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (H, W, 3) float32.
    """
    height, width, _ = image.shape
    rows, columns = np.mgrid[0:height, 0:width]
    terms = np.stack([np.ones((height, width)), rows / height - 0.5, columns / width - 0.5], -1).astype(np.float32)
    rim = np.ones((height, width), bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    x_R3, y_R3 = terms[rim], image[rim].astype(np.float32)
    plane = np.zeros((3, 3), np.float32)
    plane[0] = np.median(y_R3, 0)
    for _ in range(ROUNDS):
        distance = np.abs(y_R3 - x_R3 @ plane).max(-1)
        weight = 1 / (1 + (distance / 6) ** 2)
        plane = np.linalg.solve((x_R3 * weight[:, None]).T @ x_R3 + 1e-3 * np.eye(3), (x_R3 * weight[:, None]).T @ y_R3)
    return (terms @ plane).astype(np.float32)


def foreground(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → (H, W) bool: what is not background."""
    return np.abs(image - background(image)).max(-1) > THRESHOLD


def label(mask: np.ndarray) -> np.ndarray:
    """Number the connected patches (corners touch): (H, W) bool → (H, W) int, 0 outside."""
    height, width = mask.shape
    labels = np.zeros((height + 2, width + 2), np.int64)
    inner = labels[1:-1, 1:-1]
    inner[mask] = np.arange(1, mask.sum() + 1)
    while True:
        across = np.maximum(np.maximum(labels[:, :-2], labels[:, 1:-1]), labels[:, 2:])
        around = np.maximum(np.maximum(across[:-2], across[1:-1]), across[2:]) * mask
        if np.array_equal(around, inner):
            return inner
        inner[:] = around


def patches(mask: np.ndarray, least: float = SPECK) -> list[Box]:
    """The boxes of the connected patches, largest first.

    Args:
        least: patches smaller than this share of the largest are left out.
    """
    labels = label(mask)
    numbers, sizes = np.unique(labels[mask], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return [box_of(labels == numbers[i]) for i in order if sizes[i] >= least * sizes.max()]


def box_of(mask: np.ndarray) -> Box:
    """The smallest box around the set pixels, of which there is at least one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def around(boxes: list[Box]) -> Box:
    """The smallest box around several boxes."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
