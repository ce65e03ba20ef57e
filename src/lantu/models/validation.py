"""Checks of user input, with one-line errors. Shapes: h w grid."""

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lantu.errors import AbilityError, DataError, ImageError, LantuError, PromptError
from lantu.images.shapes import closest, shapes
from lantu.models.spec import Grid, ModelFolder, Size
from lantu.tokens.vocabulary import MAX_SIDE
from lantu.types import MASK_CODE

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.models.spec import Layout

MAX_PROMPT = 2000
FAR = 1.3  # times by which a size's ratio may differ from the one that is wanted


def check_prompt(prompt: str) -> str:
    """The prompt itself, if it is valid.

    Raises:
        PromptError: it is empty, too long or not text.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"the prompt is {type(prompt).__name__}, not text", "give a string")
    if not prompt.strip():
        raise PromptError("the prompt is empty", 'say what to draw, e.g. "a cat"')
    if len(prompt) > MAX_PROMPT:
        raise PromptError(f"the prompt has {len(prompt):,} characters", f"shorten it to {MAX_PROMPT:,}")
    return prompt


def parse_size(text: str) -> Size:
    """ "192x128" → (192, 128): width and height in pixels.

    Raises:
        LantuError: the text is not a size.
    """
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip(), re.ASCII)
    if match is None:
        raise LantuError(f"the size {text!r} can't be read", "write width x height in pixels, e.g. 192x192")
    return int(match[1]), int(match[2])


def parse_shape(text: str) -> "Callable[[Layout], Size]":
    """What gives width and height in pixels for a model's layout: of "192x128" these, of "3:4" those of that ratio.

    Raises:
        LantuError: the text is neither. The result raises ImageError where the model draws nothing like that ratio.
    """
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", text.strip(), re.ASCII)
    if match is None:
        size = parse_size(text)
        return lambda layout: drawn_size(size, layout)
    return lambda layout: size_of_ratio(int(match[1]), int(match[2]), layout.sizes, layout.patch)


def size_of_ratio(width: int, height: int, sizes: Sequence[Size], patch: int) -> Size:
    """The size whose sides have most nearly a ratio.

    Args:
        sizes: of the training pictures, the most frequent first; of a model that knows one, all of about its area.
        patch: pixels a side of a code.

    Raises:
        ImageError: none is near.
    """
    area = sizes[0][0] * sizes[0][1]
    known = [size[::-1] for size in sizes] if len(sizes) > 1 else shapes(patch * round(math.sqrt(area) / patch), patch)
    found = closest(height, width, tuple(known))
    if not 1 / FAR < (found[1] * height) / (found[0] * width) < FAR:
        drawn = ", ".join(as_text((size[1], size[0])) for size in known)
        raise ImageError(f"no picture can have sides of {width}:{height}", f"give a size in pixels: {drawn}")
    return found[1], found[0]


def nearest_size(size: Size, sizes: Sequence[Size]) -> Size:
    """The one of some sizes whose sides have most nearly the ratio of ``size``."""
    height, width = closest(size[1], size[0], tuple(each[::-1] for each in sizes))
    return width, height


def drawn_size(size: Size, layout: "Layout") -> Size:
    """The size itself; of pictures as large as the decoder paints, what an upscaler makes of them.

    So a model that was given an upscaler is still asked for the sizes that it had.
    """
    factor, sizes = getattr(layout, "factor", 1), layout.sizes
    large = size[0] * factor, size[1] * factor
    return large if size not in sizes and large in sizes else size


def as_drawn(image: "Image", layout: "Layout") -> "Image":
    """The picture itself, enlarged if its size is not the ``drawn_size``, so that former drawings are still read."""
    size = drawn_size(image.size, layout)
    return image if image.size == size else image.resize(size)


def as_text(size: Size) -> str:
    """ "128x96": width and height."""
    return "{}x{}".format(*size)


def grid_of(size: Size, patch: int, max_side: int = MAX_SIDE) -> Grid:
    """Height and width in codes of a picture of ``size`` pixels, ``patch`` of them to a code.

    Args:
        max_side: the longest side of a grid.

    Raises:
        ImageError: there is no such grid.
    """
    longest = max_side * patch
    if any(side % patch or not 0 < side <= longest for side in size):
        hint = f"make each side a multiple of {patch}, {longest} at most"
        raise ImageError("no picture can have {}x{} pixels".format(*size), hint)
    return size[1] // patch, size[0] // patch


def check_size(size: Size, sizes: Sequence[Size], sides: "tuple[int, int] | None" = None) -> str:
    """A warning for sizes that the model was not trained on; "" for others.

    The limits come from three prompts that the shipped model, trained on 128x128, drew at 15 other sizes: mostly
    objects fell apart (256x128, 160x160, 96x96); from 192x192 on pictures were nearly empty, at 32x32 a single blot.

    Args:
        sizes: widths and heights of the training pictures, the most frequent first.
        sides: the shortest and the longest side that the model's makers declare, if they do.

    Raises:
        ImageError: drawings of this size would be useless.
    """
    learnt = sizes[0]
    if size in sizes or (sides and sides[0] <= min(size) and max(size) <= sides[1]):
        return ""
    known = f"the model has learnt pictures of {', '.join(map(as_text, sizes))}"
    area, own = size[0] * size[1], learnt[0] * learnt[1]
    if area > 2 * own or 4 * area < own or any(side > 2 * most for side, most in zip(size, learnt, strict=True)):
        raise ImageError("{}; of {}x{} it draws nothing sensible".format(known, *size), "leave the size out")
    return "{}; things come apart in those of {}x{}".format(known, *size)


class Codebook(Protocol):
    """What a ``ModelFolder`` says of codes."""

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        ...

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """See ``ModelFolder``."""
        ...

    @property
    def depth(self) -> int:
        """See ``ModelFolder``."""
        ...

    @property
    def max_side(self) -> int:
        """Codes a side of a grid, at most."""
        ...

    @property
    def prefixes(self) -> int:
        """See ``ModelFolder``."""
        ...

    @property
    def grid(self) -> Grid:
        """Height and width in codes of the training pictures."""
        ...


def check_count(codes: int, folder: ModelFolder) -> None:
    """Refuse to draw from so many of the first codes a model that has not learnt it; 0 asks for nothing.

    Raises:
        LantuError: it has not, or they are too few or too many.
    """
    if codes and "num_codes" in folder.unused_params:
        what = f"{folder.name} draws from all its {folder.draft_length} codes, it has not learnt to draw from fewer"
        raise LantuError(what, "leave out codes, or take a model of a sequence")
    if codes and not folder.prefixes <= codes <= folder.draft_length:
        what = f"{folder.name} can't draw from {codes} codes"
        raise LantuError(what, f"choose from {folder.prefixes} to {folder.draft_length}")


def check_codes(codes: np.ndarray, folder: Codebook) -> np.ndarray:
    """A grid of codes as (h, w) int64, or (h, w, E) where cells are vectors.

    Of a model that renders the first codes of a sequence, any rows and columns of these, also with MASK_CODE for those
    that are left out at the end; they are returned as a whole grid.

    Args:
        folder: of the model that renders them.

    Raises:
        DataError: it is not a grid, too large a one, or has codes outside the codebook or of another level; or too few
            of a sequence.
    """
    codes = np.asarray(codes)
    hint = "give the codes of a picture made by this model"
    if codes.ndim < 2 or codes.shape[2:] != folder.cell_shape or not codes.size or codes.dtype.kind not in "iu":
        raise DataError(f"codes of shape {codes.shape} and kind {codes.dtype} are not a grid", hint)
    if max(codes.shape[:2]) > folder.max_side:
        raise DataError(f"a grid of {codes.shape[1]}x{codes.shape[0]} codes", f"{folder.max_side} a side is the most")
    if folder.prefixes:
        codes = first_codes(codes, folder)
    known = codes[codes != MASK_CODE] if folder.prefixes else codes
    if known.min() < 0 or known.max() >= folder.codebook_size:
        ours = f"the model has 0 to {folder.codebook_size - 1}"
        raise DataError(f"codes from {known.min()} to {known.max()}, {ours}", hint)
    if folder.depth > 1:
        levels, count = np.arange(codes.shape[1]) % folder.depth, folder.codebook_size // folder.depth
        if codes.shape[1] % folder.depth or (codes // count != levels).any():
            raise DataError(f"a cell has {folder.depth} codes, one of each level in turn, and these are others", hint)
    return codes.astype(np.int64)


def first_codes(codes: np.ndarray, folder: Codebook) -> np.ndarray:
    """The first codes of a sequence as a whole grid (h, w) int64, with MASK_CODE in the place of the others.

    Raises:
        DataError: they are too few or too many, or not the first ones.
    """
    given, whole = codes.reshape(-1), np.full(folder.grid, MASK_CODE, np.int64)
    count = int((given != MASK_CODE).sum())
    if not folder.prefixes <= count <= whole.size:
        raise DataError(f"a sequence of {count} codes", f"give {folder.prefixes} to {whole.size}")
    if (given[:count] == MASK_CODE).any():
        raise DataError("codes are missing before others", "leave out only the last ones of a sequence")
    whole.reshape(-1)[:count] = given[:count]
    return whole


def require(folder: ModelFolder, ability: str) -> None:
    """Refuse a task that the model was not trained for.

    Raises:
        AbilityError: it lacks the ability.
    """
    if ability not in folder.abilities:
        raise AbilityError(f"{folder.name} has not learnt {ability}", folder.lacks(ability), ability)


def require_memory(folder: ModelFolder) -> None:
    """Refuse to find pictures for a prompt where the model has none to search.

    Raises:
        LantuError: it has no memory bank.
    """
    if "shots" in folder.unused_params:
        hint = "leave out shots, or say where to search: --memory DIR (lantu assemble --memory attaches pictures)"
        raise LantuError(f"{folder.name} has no memory bank to find pictures in", hint)
