"""Pictures from clients: opened safely, and reduced to what is read of them."""

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
STEP = 524_288  # characters of base64 that are decoded at a time: the interpreter is free in between
GAP = 4  # a JPEG is decoded at a fraction of its size, this many times larger than what is read of it
URL = re.compile(r"\s*(?:data:)?(?P<type>[\w.+-]+/[\w.+-]+)?(?P<options>(?:;[^,;]*)*),", re.IGNORECASE)
SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What is read of a client's picture.

    Attributes:
        param: the field that holds it, for errors.
        most_pixels: that it may have.
        alpha: RGBA rather than RGB.
        fit: width and height that it is scaled and cropped to; None: as it is.
        shown: the longest side of a second, whole one, for a judge; 0: none.
    """

    param: str
    most_pixels: int
    alpha: bool = False
    fit: Size | None = None
    shown: int = 0

    @property
    def near(self) -> Size | None:
        """A size that is large enough to be decoded; None: the full one."""
        if self.fit is None:
            return None
        side = max(GAP * max(self.fit), self.shown)
        return side, side


def from_url(url: str, param: str) -> bytes:
    """The bytes of a data URL, or of bare base64, in either of its alphabets, with or without padding and line ends.

    Raises:
        ImageError: it is none. A URL of the web is not fetched: a server that does so reaches what its clients can't.
    """
    hint = "send the picture as data:image/png;base64,…"
    scheme = SCHEME.match(url, 0, 40)
    if scheme and scheme[1].lower() != "data":
        raise ImageError(f"{param} is a URL, and this server fetches none", "send the picture as a data: URL")
    start = 0
    if head := URL.match(url, 0, 500):
        if "base64" not in head["options"].lower().replace(" ", "").split(";"):
            raise ImageError(f"{param} is a data: URL without base64", hint)
        start = head.end()
    elif scheme:
        raise ImageError(f"{param} is a data: URL without a comma", hint)
    decoded, rest = [], b""
    try:
        for place in range(start, len(url), STEP):
            piece = rest + url[place : place + STEP].encode("ascii").translate(STANDARD, b" \t\r\n\f\v")
            last = place + STEP >= len(url)
            if b"%" in piece:  # as URLs are escaped: rare, and all at once
                piece, last = rest + unquote_to_bytes(url[place:]).translate(STANDARD, b" \t\r\n\f\v"), True
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


STANDARD = bytes.maketrans(b"-_", b"+/")


def size_of(data: bytes, want: Wanted) -> tuple[Size, int]:
    """Width and height as the file has them, and the pixels that must be decoded. Nothing is decoded for it.

    Raises:
        ImageError: it can't be read, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            size = file.size
            if want.near:
                file.draft("RGB", want.near)
            if size[0] * size[1] <= want.most_pixels:
                return size, file.width * file.height
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    except Exception as problem:  # decoders raise anything at all on a broken file
        hint = "give an intact PNG, JPEG or WebP file"
        raise ImageError(f"can't read {want.param} as a picture", hint) from problem
    hint = f"scale it to {want.most_pixels // 1_000_000} megapixels or fewer"
    raise ImageError(f"the picture {want.param} is too large", hint)


def reduced(data: bytes, want: Wanted) -> list[Image.Image]:
    """A client's picture as it is read, RGB or RGBA, and the one for a judge if that is wanted.

    Raises:
        ImageError: it is damaged, of another format than PNG, JPEG or WebP, or has too many pixels.
    """
    file = io.BytesIO(data)
    image = images.read_image(file, want.param, want.alpha, want.most_pixels, FORMATS, near=want.near)
    found = [images.fit(image, *want.fit) if want.fit and image.size != want.fit else image]
    if want.shown:
        whole = image.copy() if max(image.size) <= want.shown else image
        whole.thumbnail((want.shown, want.shown))
        found.append(whole)
    return found
