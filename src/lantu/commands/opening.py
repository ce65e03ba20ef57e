"""Pictures that a user names on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from lantu.commands import terminal
from lantu.errors import ImageError
from lantu.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image


def say(note: str) -> None:
    """What the user should know of a picture, on a line of its own."""
    terminal.say(f"lantu: {note}")


def opened(path: Path, keep_alpha: bool = False) -> "Image":
    """``images.open_image``; a line says where not all of the file is read."""
    return open_image(path, keep_alpha, say)


def drawable(size: tuple[int, int], patch: int) -> tuple[int, int] | None:
    """A size in pixels if a drawing can have it."""
    from lantu.tasks.validation import grid_of

    try:
        grid_of(size, patch)
    except ImageError:
        return None
    return size
