"""Pictures from clients: opened safely, and recognised when they are our own."""

import base64
import binascii
import dataclasses
import io

from PIL import Image

from lantu import images, metadata
from lantu.checks import check_codes
from lantu.errors import DataError, ImageError
from lantu.pipeline import Model
from lantu.types import Picture

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


def recognise(data: bytes, image: Image.Image, model: Model) -> Picture | None:
    """The drawing with its codes, when this very model drew it."""
    try:
        picture = metadata.read_chunk(io.BytesIO(data), image, "picture")
        codes = check_codes(picture.codes, model.folder.codebook_size)
    except (ImageError, DataError, OSError, ValueError):
        return None
    if picture.model != model.digest or model.size_of((codes.shape[0], codes.shape[1])) != image.size:
        return None
    return dataclasses.replace(picture, codes=codes)
