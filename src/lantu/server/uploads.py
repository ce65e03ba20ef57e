"""Decodes pictures from clients safely, and reduces them to what the model reads."""

import binascii
import io
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from PIL import Image

from lantu import images
from lantu.errors import ImageError
from lantu.models.validation import Size

FORMATS = ("PNG", "JPEG", "WEBP")
BLOCK = 524_288  # characters of base64 decoded at a time; other threads run in between
JPEG_OVERSIZE = 4  # a JPEG is decoded at a fraction of its size, but at least this many times the target size
URL = re.compile(r"\s*(?:data:)?(?P<type>[\w.+-]+/[\w.+-]+)?(?P<options>(?:;[^,;]*)*),", re.IGNORECASE)
SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)
STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class Decoding:
    """How a client's picture is decoded.

    Attributes:
        param: the field that contains it, for errors.
        max_pixels: the most pixels that it may have.
        alpha: decode to RGBA rather than RGB.
        fit: width and height to scale and crop it to; None leaves its size.
        judge_side: the longest side of a second, uncropped picture for the judge; 0 for none.
    """

    param: str
    max_pixels: int
    alpha: bool = False
    fit: Size | None = None
    judge_side: int = 0

    @property
    def min_size(self) -> Size | None:
        """The size at which it must be decoded at least; None means its full size."""
        if self.fit is None:
            return None
        side = max(JPEG_OVERSIZE * max(self.fit), self.judge_side)
        return side, side


def from_url(url: str, param: str) -> bytes:
    """The bytes of a data: URL or of plain base64, in either alphabet, with or without padding and line ends.

    Args:
        param: the field that contains it, for errors.

    Raises:
        ImageError: it is neither. Other URLs are not fetched: the server may reach hosts that its clients can't.
    """
    hint = "send the picture as data:image/png;base64,…"
    scheme = SCHEME.match(url, 0, 40)
    if scheme and scheme[1].lower() != "data":
        raise ImageError(f"{param} is a URL that this server does not fetch", "send the picture as a data: URL")
    start = 0
    if head := URL.match(url, 0, 500):
        if "base64" not in head["options"].lower().replace(" ", "").split(";"):
            raise ImageError(f"{param} is a data: URL without base64", hint)
        start = head.end()
    elif scheme:
        raise ImageError(f"{param} is a data: URL without a comma", hint)
    decoded, rest = [], b""
    try:
        for place in range(start, len(url), BLOCK):
            piece = rest + url[place : place + BLOCK].encode("ascii").translate(STANDARD_ALPHABET, b" \t\r\n\f\v")
            last = place + BLOCK >= len(url)
            if b"%" in piece:  # percent-encoded, which is rare: decode the rest at once
                piece, last = rest + unquote_to_bytes(url[place:]).translate(STANDARD_ALPHABET, b" \t\r\n\f\v"), True
            if last:
                piece = piece.rstrip(b"=")
                piece += b"=" * (-len(piece) % 4)
            whole = len(piece) - len(piece) % 4
            decoded.append(binascii.a2b_base64(piece[:whole], strict_mode=True))
            rest = piece[whole:]
            if last:
                break
    except (binascii.Error, ValueError) as problem:
        raise ImageError(f"{param} is not base64", hint) from problem
    return b"".join(decoded)


def size_of(data: bytes, decoding: Decoding) -> tuple[Size, int]:
    """A picture's width and height, and the number of pixels that must be decoded. Only its header is read.

    Raises:
        ImageError: it can't be read, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            size = file.size
            if decoding.min_size:
                file.draft("RGB", decoding.min_size)
            if size[0] * size[1] <= decoding.max_pixels:
                return size, file.width * file.height
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    except Exception as problem:  # decoders may raise anything on a broken file
        hint = "send an undamaged PNG, JPEG or WebP file"
        raise ImageError(f"can't read {decoding.param} as a picture", hint) from problem
    hint = f"scale it to {decoding.max_pixels // 1_000_000} megapixels or less"
    raise ImageError(f"the picture {decoding.param} is too large", hint)


def decode(data: bytes, decoding: Decoding) -> list[Image.Image]:
    """A client's picture, RGB or RGBA, followed by the judge's copy if ``decoding`` asks for one.

    Raises:
        ImageError: it is damaged, not a PNG, JPEG or WebP file, or has too many pixels.
    """
    file = io.BytesIO(data)
    image = images.read_image(
        file, decoding.param, decoding.alpha, decoding.max_pixels, FORMATS, near=decoding.min_size
    )
    decoded = [images.fit(image, *decoding.fit) if decoding.fit and image.size != decoding.fit else image]
    if decoding.judge_side:
        whole = image.copy() if max(image.size) <= decoding.judge_side else image
        whole.thumbnail((decoding.judge_side, decoding.judge_side))
        decoded.append(whole)
    return decoded
