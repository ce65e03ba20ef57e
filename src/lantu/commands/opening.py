"""What a user names on the command line, opened: models, pictures, codes, examples."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lantu.commands import terminal
from lantu.errors import DataError, ImageError, PromptError
from lantu.images import open_image

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from lantu.models.control import Control
    from lantu.models.lantu.layout import Example
    from lantu.pipeline import Model


def say(note: str) -> None:
    """What the user should know of a picture, on a line of its own."""
    terminal.say(f"lantu: {note}")


def opened(path: Path, keep_alpha: bool = False) -> "Image":
    """``images.open_image``; a line says where not all of the file is read."""
    return open_image(path, keep_alpha, say)


def drawable(size: tuple[int, int], patch: int) -> tuple[int, int] | None:
    """A size in pixels if a drawing can have it."""
    from lantu.models.validation import grid_of

    try:
        grid_of(size, patch)
    except ImageError:
        return None
    return size


def examples(
    model: "Model", named: list[str], fit: bool, memory: Path | None = None, prompt: str = "", shots: int = 0
) -> "list[Example]":
    """What the model sees first: pictures found by the prompt, then those that are named.

    Args:
        named: FILE=CAPTION of each.
        fit: scale and crop them.
        memory: data to find others in.
        shots: as many of these.

    Raises:
        PromptError: one of them lacks its caption.
    """
    from PIL import Image

    from lantu import images

    found: list[Example] = []
    if memory:
        from lantu.data.retrieval import CaptionIndex
        from lantu.data.shards import Shards

        shards = Shards(memory, "train")
        near = CaptionIndex.of(memory).search(prompt, shots)
        found += [(text, images.fit(Image.fromarray(shards.image(at)), *model.size)) for at, text in near]
    for each in named:
        path, _, caption = each.partition("=")
        if not caption.strip():
            raise PromptError(f"the example {each} has no caption", "write FILE=CAPTION")
        picture = opened(Path(path))
        found.append((caption, images.fit(picture, *model.size) if fit else picture))
    return found


def steering(path: Path, kind: str, scale: float, size: tuple[int, int] | None) -> "Control":
    """A picture of control from a file; a photo's edges are taken first.

    Args:
        size: to scale and crop it to.
    """
    import numpy as np
    from PIL import Image

    from lantu import images
    from lantu.models.control import Control
    from lantu.models.lantu import controls

    picture = opened(path)
    if size:
        picture = images.fit(picture, *size)
    if kind == "photo":
        return Control(Image.fromarray(controls.lit(controls.edges(np.asarray(picture)))), "edges", scale)
    return Control(picture, kind, scale)


def read_grids(path: Path) -> "list[np.ndarray]":
    """The codes of a tokens file, or of stdin.

    Raises:
        DataError: it is missing or no tokens file.
    """
    from lantu.images import metadata

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise DataError(f"can't read the tokens file {path}", "give a file that lantu tokenize wrote") from problem
    return [picture["codes"] for picture in metadata.read_tokens(text, str(path))]


def load(name: str | None, device: str, backend: str = "native") -> "Model":
    """The model; NumPy is imported here and not before."""
    from lantu import kernels
    from lantu.pipeline import Model

    model = Model.load(name, device, backend)
    if model.parts.device == "cpu" and (why := kernels.reason()) and "LANTU_KERNELS" not in os.environ:
        terminal.say(f"lantu: NumPy computes, several times slower than native code: {why}")
    return model
