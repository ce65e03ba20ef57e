"""How a drawing was made, as files record it: the text chunk of a PNG, and tokens files.

Both hold prompt, seed, digest of the model, codes and settings, so that a drawing can be repeated or edited later. The
chunk also holds a hash of the pixels: ``lantu.tasks.reader`` only trusts it for the picture that it was written for.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lantu.errors import DataError, ImageError
from lantu.files import check_writable, replacing, write_text
from lantu.images import open_image, to_rgb
from lantu.images.description import CHUNK, HINT, described
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo

FORMATS = (".png", ".jpg", ".jpeg", ".webp")  # only PNG has the chunk
PICTURES = (*FORMATS, ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")  # endings that no tokens file has


def describe(picture: Picture) -> dict[str, Any]:
    """Everything about a picture except its pixels, as JSON."""
    return {
        "prompt": picture.prompt,
        "seed": picture.seed,
        "model": picture.model,
        "settings": dict(picture.settings),
        "codes": picture.codes.tolist(),
    }


def check_output(path: Path) -> None:
    """Refuse an unusable path before the work begins.

    Raises:
        ImageError: its extension is of no known format, or it is a folder.
    """
    if path.is_dir():
        raise ImageError(f"{path} is a folder", "give a file in it")
    if path.suffix.lower() not in FORMATS:
        raise ImageError(f"can't tell the format of {path}", f"end it with one of {', '.join(FORMATS)}")


def check_tokens_output(path: Path, others: Iterable[Path | None]) -> None:
    """Refuse an unusable path of a tokens file before the work begins.

    Args:
        others: files that the same command reads or writes, which the tokens would overwrite.

    Raises:
        DataError: it is one of the others, or its extension is that of a picture.
        DiskError: it can't be written.
    """
    if path.suffix.lower() in PICTURES:
        raise DataError(f"{path} would be a tokens file with the name of a picture", "end it with .json")
    if any(other and os.path.realpath(path) == os.path.realpath(other) for other in others):
        raise DataError(f"the tokens would overwrite {path}, which this command reads or writes", "name another file")
    check_writable(path)


def save_picture(picture: Picture, path: str | Path) -> None:
    """Write a picture; a PNG records how it was drawn.

    Raises:
        ImageError: the extension is of no known format.
        DiskError: it can't be written.
    """
    path = Path(path)
    check_output(path)
    options: dict[str, Any] = {"quality": 95}
    if path.suffix.lower() == ".png":
        options = {"pnginfo": chunk(picture)}
    with replacing(path) as temporary:
        picture.image.save(temporary, **options)


def png_bytes(picture: Picture) -> bytes:
    """The PNG that ``save_picture`` would write."""
    file = io.BytesIO()
    picture.image.save(file, format="PNG", pnginfo=chunk(picture))
    return file.getvalue()


def chunk(picture: Picture) -> "PngInfo":
    """The text chunk of a PNG, for Pillow."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    record = describe(picture) | {"pixels": pixels_digest(picture.image)}
    info.add_itxt(CHUNK, json.dumps(record, ensure_ascii=False, separators=(",", ":")))
    return info


def pixels_digest(image: "Image") -> str:
    """SHA-256 of a picture's size and 8-bit RGB pixels, in rows from the top: "WIDTHxHEIGHT:" and the bytes."""
    if image.mode != "RGB":
        image = to_rgb(image)
    return hashlib.sha256("{}x{}:".format(*image.size).encode() + image.tobytes()).hexdigest()


def read_picture(path: str | Path) -> Picture:
    """A PNG and its record of how it was drawn, unverified: ``lantu.tasks.reader`` verifies it.

    Raises:
        ImageError: it can't be read, or has no record, or an invalid one.
    """
    image = open_image(path)
    return read_chunk(Path(path), image, str(path))


def read_chunk(source: "Path | BinaryIO", image: "Image", name: str) -> Picture:
    """A PNG's record of how it was drawn, unverified.

    Args:
        image: the decoded picture.
        name: of the picture, for errors.

    Raises:
        ImageError: it has no record, or an invalid one.
    """
    record = described(source, name)
    if record is None:
        raise ImageError(f"{name} does not say how it was drawn", HINT)
    return Picture(image, record.codes, record.prompt, record.seed, record.model, record.settings)


def tokens_text(pictures: Iterable[dict[str, Any]]) -> str:
    """The JSON of a tokens file: ``{"pictures": [{"codes": [[…]], …}, …]}``, one picture a line."""
    lines = (json.dumps(picture, ensure_ascii=False, separators=(", ", ": ")) for picture in pictures)
    return '{"pictures": [\n' + ",\n".join(lines) + "\n]}\n"


def write_tokens(pictures: Iterable[dict[str, Any]], path: str | Path) -> None:
    """Write a tokens file.

    Args:
        pictures: each with its "codes" as nested lists, and other entries.

    Raises:
        DiskError: it can't be written.
    """
    write_text(path, tokens_text(pictures))


def read_tokens(text: str, name: str) -> list[dict[str, Any]]:
    """The pictures of a tokens file, each with "codes" (h, w) int64, or (h, w, E) of vectors.

    A bare grid, ``[[…], …]``, is one picture.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        DataError: it is not a tokens file, or a grid has rows of unequal length or values that are not integers.
    """
    hint = "give a file that lantu tokenize or draw --tokens-out wrote"
    try:
        content = json.loads(text.removeprefix("\ufeff"))  # the byte-order mark that some editors write
        pictures = content["pictures"] if isinstance(content, dict) else [{"codes": content}]
        pictures = [{**picture, "codes": np.asarray(picture["codes"])} for picture in pictures]
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise DataError(f"{name} is not a tokens file", hint) from problem
    for picture in pictures:
        codes = picture["codes"]
        if codes.ndim not in (2, 3) or codes.size == 0 or codes.dtype.kind != "i":
            raise DataError(f"the codes in {name} are not a grid of integers", hint)
    if not pictures:
        raise DataError(f"{name} has no pictures", hint)
    return pictures
