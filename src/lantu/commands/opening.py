"""Opens what the command line names: models, pictures, codes, examples."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lantu.commands import terminal
from lantu.commands.options import as_text
from lantu.errors import DataError, ImageError, PromptError
from lantu.images import open_image

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from lantu.models.control import Control
    from lantu.models.lantu.layout import Example
    from lantu.models.spec import Layout, Size
    from lantu.pipeline import Model


def say(note: str) -> None:
    """Print a note about a picture on stderr."""
    terminal.say(f"lantu: {note}")


def opened(path: Path, keep_alpha: bool = False) -> "Image":
    """``images.open_image``; prints a note if only a part of the file is read."""
    return open_image(path, keep_alpha, say)


def drawable(size: tuple[int, int], layout: "Layout") -> tuple[int, int] | None:
    """The size in pixels of a drawing of that size, see ``drawn_size``; None if the model can't draw it."""
    from lantu.models.validation import drawn_size, grid_of

    size = drawn_size(size, layout)
    try:
        grid_of(size, layout.patch)
    except ImageError:
        return None
    return size


def asked_size(text: str, layout: "Layout") -> "Size":
    """The size in pixels that a ``--size`` stands for; prints a note if an upscaler makes a larger one of it.

    Raises:
        LantuError: see ``parse_shape``.
    """
    from lantu.models.validation import parse_shape, parse_size

    size = parse_shape(text)(layout)
    if ":" not in text and size != parse_size(text):
        say("pictures of {} are enlarged to {}x{}".format(text, *size))
    return size


def examples(
    model: "Model", named: list[str], fit: bool, memory: Path | None = None, prompt: str = "", shots: int = 0
) -> "list[Example]":
    """Examples for the model: pictures that the prompt retrieves, then those named on the command line.

    Args:
        named: FILE=CAPTION for each.
        fit: scale and crop them to the model's size.
        memory: a data folder to retrieve others from, or the memory bank of a model of the same tokenizer.
        shots: how many to retrieve.

    Raises:
        PromptError: an example has no caption.
    """
    from PIL import Image

    from lantu import images

    found: list[Example] = []
    if memory and shots and (memory / "config.json").is_file():
        from lantu.data.memory_bank import MemoryBank, check_tokenizer

        bank, layout = MemoryBank.load(memory), model.parts.layout
        check_tokenizer(bank.tokenizer, model.folder.drawing_config.tokenizer, str(memory))
        found += [(one.caption, layout.of_codes(one.codes)) for one in bank.search(prompt, shots)]
    elif memory and shots:
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
        found.append((as_text(caption) or caption, images.fit(picture, *model.size) if fit else picture))
    return found


def steering(model: "Model", path: Path, kind: str, scale: float, size: tuple[int, int], fit: bool) -> "Control":
    """A control picture from a file; of a photo, its edges.

    Args:
        size: of the drawing, in pixels.
        fit: scale and crop the picture to this size.

    Raises:
        ImageError: it can't be read, or a photo is of another size; of other pictures the drawing itself says that.
    """
    import numpy as np
    from PIL import Image

    from lantu import images
    from lantu.models.control import Control
    from lantu.models.lantu import controls

    grid = model.parts.layout.grid_of(size)
    picture = opened(path)
    if fit:
        picture = images.fit(picture, *size)
    if kind != "photo":
        return Control(picture, kind, scale)
    photo = Control(picture, "edges", scale)
    model.parts.control_processor(photo, grid)  # refuses another size: edges of a large photo take gigabytes
    return Control(Image.fromarray(controls.lit(controls.edges(np.asarray(photo.picture)))), "edges", scale)


def read_grids(path: Path) -> "list[np.ndarray]":
    """The codes in a tokens file, or on stdin.

    Raises:
        DataError: the file is missing or not a tokens file.
    """
    from lantu.images import metadata

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise DataError(f"can't read the tokens file {path}", "give a file that lantu tokenize wrote") from problem
    return [picture["codes"] for picture in metadata.read_tokens(text, str(path))]


def load(name: str | None, device: str, backend: str = "native", ability: str = "drawing") -> "Model":
    """Open a model, and say so if native kernels are missing. Imports NumPy.

    Raises:
        AbilityError: it lacks the ability, which is said before anything about the pictures that come with the task.
    """
    from lantu import kernels
    from lantu.models.validation import require
    from lantu.pipeline import Model

    model = Model.load(name, device, backend)
    require(model.folder, ability)
    if model.parts.device == "cpu" and (why := kernels.reason()) and "LANTU_KERNELS" not in os.environ:
        terminal.say(f"lantu: NumPy computes, several times slower than native code: {why}")
    return model
