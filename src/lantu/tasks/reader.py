"""The one reader of pictures that are shown to a model, for files, programs and servers.

A PNG of ours says in a text chunk which codes it was drawn from (``lantu.images.description``). They are believed only
if they belong to the pixels beside them and to this very model; else the pixels count, and a note says so. Reading
takes two steps, because the second may compute: ``claim``, from the file alone, and ``settle``.

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


# How far a rendering of the codes may be from the pixels, of 255: on average, and within any one cell.
FAR, FAR_IN_CELL = 2.0, 24.0
MOST_STEPS = 64  # of a rendering that only checks
RENDERED = ("euler", "heun", "consistency")  # samplers that need no other library


@dataclass(frozen=True, eq=False)
class Claim:
    """A picture, and what it may say of itself.

    Attributes:
        image: upright 8-bit RGB.
        name: for notes.
        said: how it was drawn, by its own account, if this model can have drawn it: codes and size fit.
        bound: whether a hash in ``said`` is that of the pixels.
        note: why there is no ``said`` although the file has one; "" where it has none.
    """

    image: "Image"
    name: str
    said: Description | None = None
    bound: bool = False
    note: str = ""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture as a model sees it.

    Attributes:
        image: upright 8-bit RGB, of any size.
        drawing: the same with its codes, if this very model drew it; None: the pixels are to be read.
        note: what the user should know of it; "" for nothing.
    """

    image: "Image"
    drawing: Picture | None = None
    note: str = ""


def read(source: "Path | BinaryIO", name: str, parts: Parts, note: Callable[[str], None] | None = None) -> Seen:
    """Open a picture and find out whether this model drew it.

    Args:
        note: called with what is to be known of the file itself, see ``images.read_image``.

    Raises:
        ImageError: it is missing, damaged, not a picture, or too large.
    """
    if isinstance(source, Path):
        image = images.open_image(source, note=note)
    else:
        image = images.read_image(source, name, note=note)
    return settle(claim(source, image, name, parts), parts)


def claim(source: "Path | BinaryIO", image: "Image", name: str, parts: Parts) -> Claim:
    """What a picture says of itself, as far as that can be true without computing.

    Args:
        source: its file; one that is no path is read from its beginning.
        image: what it shows, as ``images.read_image`` gives it.
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
        check_codes(said.codes, parts.folder.codebook_size)
    except DataError:
        return Claim(image, name, note=pixels_count(f"the record of the drawing in {name} is damaged"))
    height, width = said.codes.shape
    bound = said.pixels is not None
    if parts.layout.size_of((height, width)) != image.size or (bound and said.pixels != pixels_digest(image)):
        return Claim(image, name, note=pixels_count(f"{name} was changed since it was drawn"))
    return Claim(image, name, said, bound)


def settle(made: Claim, parts: Parts, forged: bool = False) -> Seen:
    """Decide on a claim; one without a hash holds if its codes, rendered, are the picture.

    Args:
        forged: whether a hash may have been computed by somebody who means harm: then it counts for nothing.
    """
    said = made.said
    if said is None:
        return Seen(made.image, note=made.note)
    if (forged or not made.bound) and not _shows(made.image, said, parts):
        return Seen(made.image, note=pixels_count(f"{made.name} doesn't show what its codes stand for"))
    drawing = Picture(made.image, said.codes, said.prompt, said.seed, said.model, said.settings)
    return Seen(made.image, drawing)


def pixels_count(why: str) -> str:
    """The note of a picture whose description is not believed."""
    return f"{why}: its pixels are read, not its codes"


def _shows(image: "Image", said: Description, parts: Parts) -> bool:
    """Whether a picture is what its codes stand for."""
    settings = SamplingParams.read(said.settings)
    if settings.steps > MOST_STEPS or settings.sampler not in RENDERED:
        return False
    painted = parts.render(said.codes[None], [said.seed], settings)[0]
    far_HW = np.abs(painted.astype(np.float32) - np.asarray(image, np.float32)).mean(2)
    (height, width), patch = said.codes.shape, parts.folder.patch
    far_hw = far_HW.reshape(height, patch, width, patch).mean((1, 3))
    return bool(far_hw.mean() <= FAR and far_hw.max() <= FAR_IN_CELL)
