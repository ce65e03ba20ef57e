"""Where a picture's bytes are, and how they become pixels of the size and shape that is wanted."""

import importlib.util
import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lantu.data.account import CHANGED, Note
from lantu.data.columns import Captions
from lantu.data.shrinking import DEEP, ORIENTATION, shrunk
from lantu.images import to_rgb
from lantu.images.heif import NEEDED, is_heif, read_heif
from lantu.images.shapes import LONGEST, Shape, nearest, unit_of

# Formats that the decoders here read, without those that would start another program (EPS).
FORMATS = {
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpx", ".jpf"), "JPEG2000"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".avif", ".avifs"), "AVIF"),
    **dict.fromkeys((".heic", ".heics", ".heif", ".heifs", ".hif"), "HEIF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), "PPM"),
    **{".webp": "WEBP", ".gif": "GIF", ".tga": "TGA", ".qoi": "QOI", ".ico": "ICO", ".psd": "PSD"},
}
PICTURES = {*FORMATS, ".svg"}
# Formats whose decoders are packages of their own → endings, and whether the decoder is there.
OPTIONAL: dict[str, tuple[set[str], Callable[[], bool]]] = {
    "HEIC": ({ending for ending, name in FORMATS.items() if name == "HEIF"}, read_heif),
    "SVG": ({".svg"}, lambda: importlib.util.find_spec("resvg_py") is not None),
}
# Pictures and films for which there is no decoder here.
OTHERS = {
    *(".jxl", ".svgz", ".eps", ".ai", ".pdf", ".xcf", ".exr", ".hdr", ".dng", ".raw", ".cr2", ".cr3"),
    *(".nef", ".arw", ".orf", ".rw2", ".raf", ".jxr", ".wdp", ".dds", ".emf", ".wmf", ".mp4", ".mov", ".avi", ".webm"),
    *(".mkv",),
}
Aspect = Literal["crop", "pad", "keep"]
SIDEWAYS = (5, 6, 7, 8)  # orientations of pictures that are stored on their side
THIN = 30  # times its width that an SVG may be long
PLAIN = {"RGB", "RGBA", "L", "LA", "P", "PA", "1", "RGBa", "La", "RGBX"}  # modes that lose nothing as 8-bit RGB

CROPPED = "cropped to the central square (--aspect pad keeps all of it)"
HALVED = "cropped to a central square of less than half the picture (--aspect pad keeps all of it)"
PADDED = "padded with {background} to a square (--aspect crop fills it)"
TRIMMED = "trimmed to the nearest of the shapes of {size}x{size} pixels' area"
LONG = "cropped, as one side is more than twice the other (--aspect pad keeps all of it)"
ENLARGED = "enlarged, as smaller than {size} pixels (--size makes smaller data)"
LAID = "laid over {background} where transparent"
SHALLOW = "scaled to 8 bits a channel"
CONVERTED = "colours converted to RGB"
BOMB = "of more than {limit} megapixels, as decompression bombs are: scale them down"
FIRST = "only the first frame of an animation or page of a document"


class Content(Protocol):
    """Where a picture's bytes are."""

    @property
    def path(self) -> Path:
        """The file that holds the bytes."""
        ...

    def read(self) -> bytes:
        """The picture's bytes."""
        ...


@dataclass(frozen=True)
class InFile:
    """A whole file, or a range of its bytes."""

    path: Path
    offset: int = 0
    length: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


class EmptyCell(ValueError):
    """A cell of a table holds no picture."""


@dataclass(frozen=True)
class InTable:
    """A cell of a parquet table: bytes, or as Hugging Face stores them, ``{"bytes", "path"}``."""

    path: Path
    group: int
    row: int
    column: str = "image"

    def read(self) -> bytes:
        cell = _row_group(self.path, self.group, self.column)[self.row].as_py()
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if content is None:
            raise EmptyCell("the cell is empty")
        return content


@lru_cache(maxsize=1)
def _row_group(path: Path, group: int, column: str) -> Any:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as table:
        return table.read_row_group(group, columns=[column]).column(column)


@dataclass(frozen=True)
class Entry:
    """A picture to take in.

    Attributes:
        key: its name within the source.
        content: where its bytes are.
        captions: language → captions.
    """

    key: str
    content: Content
    captions: Captions


def load_picture(
    entry: Entry,
    size: int,
    aspect: Aspect = "crop",
    background: str = "white",
    change: Callable[[Image.Image], Image.Image] = lambda picture: picture,
    ample: float = 1.0,
) -> tuple[np.ndarray | None, list[Note]]:
    """A picture as 8-bit RGB, upright, on a background where it is transparent.

    Args:
        size: pixels a side.
        aspect: "crop" keeps the central square, "pad" keeps everything and adds background; "keep" keeps the shape, as
            the nearest one of about the square's area (``lantu.images.shapes``).
        background: a colour as CSS writes it: "white", "#88ccff".
        change: of the upright RGB picture, before it is scaled.
        ample: times the wanted pixels a side at which a JPEG is decoded at least, for changes that crop.

    Returns:
        (H, W, 3) uint8, or None if that is impossible; and what was changed, or why it is impossible.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = _opened(entry.content.read(), size)
            height, width = shape = shape_of(picture, size, aspect)
            changes = _changes(picture, size, aspect, background, shape)
            stored = shape[::-1] if _lies(picture) else shape
            picture.draft("RGB", (math.ceil(ample * stored[1]), math.ceil(ample * stored[0])))
            picture = shrunk(picture, stored)
            if _is_transparent(picture):
                changes.append(LAID.format(background=background))
            picture = change(to_rgb(picture, background))
        if aspect == "pad":
            fitted = ImageOps.pad(picture, (size, size), Image.Resampling.LANCZOS, color=background)
        else:
            fitted = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        return np.asarray(fitted), [Note(entry.key, change, CHANGED) for change in changes]
    except EmptyCell as problem:
        return None, [Note(entry.key, str(problem))]
    except UnidentifiedImageError:
        return None, [Note(entry.key, "it is not a picture")]
    except Image.DecompressionBombError:
        return None, [Note(entry.key, BOMB.format(limit=2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000))]
    except Exception as problem:  # decoders raise all kinds of errors on a broken file
        why = " ".join(str(problem).split()) or type(problem).__name__
        return None, [Note(entry.key, f"it can't be decoded ({why}): copy or download it again")]


def lost_by_cropping(entry: Entry) -> float | None:
    """The share of a picture outside its central square; None if it can't be opened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            short, long = sorted(_opened(entry.content.read(), 1).size)
        return 1 - short / long
    except Exception:  # it is reported when it is read
        return None


def shape_of(picture: Image.Image, size: int, aspect: Aspect) -> Shape:
    """Height and width that a picture gets, see ``load_picture``."""
    if aspect != "keep":
        return size, size
    width, height = picture.size[::-1] if _lies(picture) else picture.size
    return nearest(height, width, size, unit_of(size))


def _lies(picture: Image.Image) -> bool:
    """Whether a picture is stored on its side."""
    return _orientation(picture) in SIDEWAYS


def _orientation(picture: Image.Image) -> int:
    """How a picture is stored, as its EXIF data say; 1 is upright."""
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:  # as decoders do on damaged data
        return 1


def _opened(content: bytes, size: int) -> Image.Image:
    if not content:
        raise ValueError("the file is empty")
    if is_svg(content):
        return rendered(content, size)
    formats = set(FORMATS.values())
    if not is_heif(content):
        formats.remove("HEIF")  # Pillow knows it once pi-heif is imported
    elif not read_heif():
        raise ValueError(NEEDED)
    picture = Image.open(io.BytesIO(content), formats=tuple(sorted(formats)))
    if picture.format == "TIFF" and _orientation(picture) != 1:
        picture.load()  # Pillow turns TIFF upright as it decodes
    return picture


def is_svg(content: bytes) -> bool:
    """Whether a picture is an SVG, by its first bytes."""
    return b"<svg" in content[:4096] and content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def rendered(content: bytes, size: int) -> Image.Image:
    """An SVG, its shorter side as long as the square's.

    Raises:
        ValueError: it can't be rendered, or is so long and thin that it would fill the memory.
    """
    try:
        import resvg_py
    except ImportError as problem:
        raise ValueError("reading SVG needs resvg-py: install lantu[train]") from problem
    drawing = content.decode("utf-8-sig")

    def render(width: int, height: int) -> Image.Image:  # as large as fits
        # Fonts take a tenth of a second to find, and few drawings have text.
        bare = "<text" not in drawing
        png = resvg_py.svg_to_bytes(svg_string=drawing, skip_system_fonts=bare, width=width, height=height)
        return Image.open(io.BytesIO(png))

    picture = render(size, THIN * size)
    if picture.height < size:
        picture = render(THIN * size, size)
    if min(picture.size) < size:
        raise ValueError(f"it is more than {THIN} times as long as wide")
    return picture


def _changes(picture: Image.Image, size: int, aspect: Aspect, background: str, shape: Shape) -> list[str]:
    """What changes in a picture's shape, frames and pixel format."""
    short, long = sorted(picture.size)
    changes = []
    if aspect == "keep":
        if short * max(shape) != long * min(shape):
            changes.append(LONG if long > LONGEST * short else TRIMMED.format(size=size))
    elif short != long:
        cropped = HALVED if 2 * short < long else CROPPED
        changes.append(PADDED.format(background=background) if aspect == "pad" else cropped)
    if (long if aspect == "pad" else short) < min(shape):
        changes.append(ENLARGED.format(size=size))
    if picture.mode.startswith(DEEP):
        changes.append(SHALLOW)
    elif picture.mode not in PLAIN:
        changes.append(CONVERTED)
    # A photograph of a phone may hold a preview as a second picture.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        changes.append(FIRST)
    return changes


def _is_transparent(picture: Image.Image) -> bool:
    """Whether any pixel is transparent; an alpha channel alone may be opaque throughout."""
    if not picture.has_transparency_data:
        return False
    return picture.mode.startswith(DEEP) or min(picture.convert("RGBA").getchannel("A").tobytes()) < 255
