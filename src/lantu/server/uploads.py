"""Pictures from clients, opened safely."""

import base64
import binascii
import io

from PIL import Image

from lantu import images
from lantu.errors import ImageError

FORMATS = ("PNG", "JPEG", "WEBP")


def from_url(url: str, param: str) -> bytes:
    """The bytes of a data URL, or of bare base64.

    Raises:
        ImageError: it is none. A URL of the web is not fetched: a server that does so reaches what its clients can't.
    """
    if url.startswith("data:"):
        _, _, url = url.partition(",")
    elif ":" in url[:20]:
        raise ImageError(f"{param} is a URL, and this server fetches none", "send the picture as a data: URL")
    try:
        return base64.b64decode(url, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise ImageError(f"{param} is not base64", "send the picture as data:image/png;base64,…") from problem


def open_bytes(data: bytes, param: str, most_pixels: int, keep_alpha: bool = False) -> Image.Image:
    """A client's picture: RGB, or RGBA.

    Raises:
        ImageError: it is damaged, of another format than PNG, JPEG or WebP, or has too many pixels.
    """
    return images.read_image(io.BytesIO(data), param, keep_alpha, most_pixels, FORMATS)
