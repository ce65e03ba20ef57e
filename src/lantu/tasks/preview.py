"""A draft on its way: the codes that are there, and what the decoder makes of them.

The decoder has learnt grids whose last codes are hidden, so a part of a draft is a picture too, painted in one step.
Shapes: h w grid.
"""

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lantu import images, kernels
from lantu.diffusion.sample import Denoiser, render
from lantu.types import MASK_CODE, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

STEPS = 1


class Previewer:
    """Sketches drafts on a core of its own, while the others draft on.

    With two cores in all that wins nothing (62 ms for a drawing with seven previews, 56 in turns), so that it begins
    with three.

    Use it ``with``: what is left to be sketched at the end is dropped.

    Args:
        decoder: computes on the kernels; one that does not, say on a GPU, is left to take turns.
        beside: whether to sketch at the same time.
    """

    def __init__(self, decoder: Denoiser, beside: bool):
        self.decoder = decoder
        cores = kernels.threads() if beside else 1
        beside = cores > 2
        self.pool = ThreadPoolExecutor(1) if beside else None
        self.drafting = kernels.ThreadGroup(cores - 1) if beside else contextlib.nullcontext()
        self.sketching = kernels.ThreadGroup(1) if beside else contextlib.nullcontext()

    def __enter__(self) -> "Previewer":
        return self

    def __exit__(self, *problem: object) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def sketch(self, codes_hw: np.ndarray, seed: int) -> "Future[Image]":
        """A picture of a grid of which a part is known."""
        if self.pool:
            return self.pool.submit(self.now, codes_hw, seed)
        done: Future[Image] = Future()
        done.set_result(self.now(codes_hw, seed))
        return done

    def now(self, codes_hw: np.ndarray, seed: int) -> "Image":
        with self.sketching:
            return sketch(self.decoder, codes_hw, seed)


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
    grid = np.full(height * width, MASK_CODE, np.int64)
    grid[: len(codes)] = codes
    return grid.reshape(height, width)


def sketch(decoder: Denoiser, codes_hw: np.ndarray, seed: int, steps: int = STEPS) -> "Image":
    """A picture of a grid of which a part is known."""
    from PIL import Image

    return Image.fromarray(images.to_bytes(render(decoder, codes_hw[None], [seed], steps))[0])
