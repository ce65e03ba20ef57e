"""A draft on its way: the codes that are there, and what the decoder makes of them.

The decoder has learnt grids whose last codes are hidden, so a part of a draft is a picture too, painted in one step.
Shapes: h w grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lantu import images
from lantu.decoder.render import UNKNOWN, Predict, render
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

STEPS = 1


@dataclass(frozen=True, eq=False)
class Step:
    """How far a drawing has come.

    Attributes:
        preview: what is known so far; at the end the picture itself.
        codes: (h, w) int64, -1 where a code is still to come.
        fraction: of the codes, 1 at the end.
        picture: the finished one, at the end.
    """

    preview: "Image"
    codes: np.ndarray
    fraction: float
    picture: Picture | None = None


def partial_grid(codes: Sequence[int], height: int, width: int) -> np.ndarray:
    """The first codes of a grid in reading order, the others unknown: (h, w) int64."""
    grid = np.full(height * width, UNKNOWN, np.int64)
    grid[: len(codes)] = codes
    return grid.reshape(height, width)


def sketch(decoder: Predict, codes_hw: np.ndarray, seed: int, steps: int = STEPS) -> "Image":
    """A picture of a grid of which a part is known."""
    from PIL import Image

    return Image.fromarray(images.to_bytes(render(decoder, codes_hw[None], [seed], steps))[0])
