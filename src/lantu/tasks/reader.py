"""Reads pictures for a model: the only place that decides whether to trust the codes in a PNG.

A PNG drawn by lantu has a text chunk with its codes (``lantu.images.description``). They are used only if they belong
to this very model and to the pixels in the file; otherwise the pixels are tokenized, and a note says why. Reading has
two steps, because the second may compute: ``claim``, from the file alone, and ``settle``.

Shapes: H W pixels, h w grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from lantu import images
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import DataError, ImageError
from lantu.images.description import Description, described
from lantu.images.metadata import pixels_digest
from lantu.models.spec import Parts
from lantu.models.validation import check_codes
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


# Largest difference of the rendered codes from the pixels, of 255: mean over the picture, and mean over any one cell.
MAX_DIFFERENCE, MAX_CELL_DIFFERENCE = 2.0, 24.0
MAX_STEPS = 64  # of each pass of a rendering that only checks a claim
SAMPLERS = ("euler", "heun", "consistency")  # that need no other library


@dataclass(frozen=True, eq=False)
class Claim:
    """A picture and its unverified description.

    Attributes:
        image: upright 8-bit RGB.
        name: for notes.
        said: how it was drawn, according to the file, if this model can have drawn it: codes and size fit.
        bound: whether ``said`` has a hash, and it is that of the pixels.
        note: why the file's description was rejected; "" if it has none.
    """

    image: "Image"
    name: str
    said: Description | None = None
    bound: bool = False
    note: str = ""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture that was read.

    Attributes:
        image: upright 8-bit RGB, of any size.
        drawing: the picture with its codes, if this very model drew it; None if it is to be tokenized.
        note: for the user; "" if there is nothing to say.
    """

    image: "Image"
    drawing: Picture | None = None
    note: str = ""


def read(source: "Path | BinaryIO", name: str, parts: Parts, note: Callable[[str], None] | None = None) -> Seen:
    """Open a picture and find out whether this model drew it.

    Args:
        note: called with notes about the file itself, see ``images.read_image``.

    Raises:
        ImageError: it is missing, damaged, not a picture, or too large.
    """
    if isinstance(source, Path):
        image = images.open_image(source, note=note)
    else:
        image = images.read_image(source, name, note=note)
    return settle(claim(source, image, name, parts), parts)


def claim(source: "Path | BinaryIO", image: "Image", name: str, parts: Parts) -> Claim:
    """A picture's description, checked as far as possible without rendering.

    Args:
        source: the file; a stream is read from its beginning.
        image: its pixels, as ``images.read_image`` returns them.
    """
    try:
        said = described(source, name)
    except ImageError as problem:
        return Claim(image, name, note=pixels_count(problem.message))
    if said is None:
        return Claim(image, name)
    if said.model != parts.folder.digest:
        return Claim(image, name, note=pixels_count(f"{name} was drawn by another model"))
    try:
        check_codes(said.codes, parts.folder)
    except DataError:
        return Claim(image, name, note=pixels_count(f"the record of the drawing in {name} is damaged"))
    height, width = said.codes.shape[:2]
    bound = said.pixels is not None
    if parts.layout.size_of((height, width)) != image.size or (bound and said.pixels != pixels_digest(image)):
        return Claim(image, name, note=pixels_count(f"{name} was changed since it was drawn"))
    return Claim(image, name, said, bound)


def settle(claimed: Claim, parts: Parts, forged: bool = False) -> Seen:
    """Accept or reject a claim; one without a hash is accepted if its codes render to the picture.

    Args:
        forged: the file may come from an attacker, who can compute a matching hash: hashes are ignored.
    """
    said = claimed.said
    if said is None:
        return Seen(claimed.image, note=claimed.note)
    if (forged or not claimed.bound) and not _shows(claimed.image, said, parts):
        return Seen(claimed.image, note=pixels_count(f"{claimed.name} doesn't show what its codes stand for"))
    drawing = Picture(claimed.image, said.codes, said.prompt, said.seed, said.model, said.settings)
    return Seen(claimed.image, drawing)


def pixels_count(why: str) -> str:
    """The note for a picture whose description is rejected."""
    return f"{why}: its pixels are read, not its codes"


def _shows(image: "Image", said: Description, parts: Parts) -> bool:
    """Whether the described codes render to the picture."""
    params = SamplingParams.read(said.settings)
    steps = max(params.steps, params.refine_steps if params.refine else 0)
    if steps > MAX_STEPS or params.sampler not in SAMPLERS:
        return False
    rendered_HW3 = parts.render(said.codes[None], [said.seed], params, prompts=[said.prompt])[0]
    difference_HW = np.abs(rendered_HW3.astype(np.float32) - np.asarray(image, np.float32)).mean(2)
    cells = (side // parts.folder.patch for side in difference_HW.shape)
    difference_hw = images.average(difference_HW[None, None], *cells)[0, 0]
    return bool(difference_hw.mean() <= MAX_DIFFERENCE and difference_hw.max() <= MAX_CELL_DIFFERENCE)
