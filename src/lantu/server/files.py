"""Pictures as bytes, and those that are fetched by a URL."""

import base64
import collections
import io
import secrets
from collections.abc import Mapping
from typing import Any

from PIL.Image import Image

from lantu.images import metadata
from lantu.types import Picture

TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


# zlib's default takes 4.6 ms of a processor for 128 pixels square, a sixth of the drawing's; 4 takes half of it for 2 %
# more bytes, 1 a third for 18 % more.
WHOLE, PARTIAL = 4, 1


def encode(picture: Picture, form: str = "png", quality: int | None = None) -> bytes:
    """A picture's file; a PNG says how it was drawn.

    Args:
        form: one of ``TYPES``.
        quality: of JPEG and WebP, 0 to 100.
    """
    if form == "png":
        return save(picture.image, form, pnginfo=metadata.chunk(picture), compress_level=WHOLE)
    return save(picture.image, form, quality=95 if quality is None else max(1, quality))


def encode_partial(image: Image, form: str = "png") -> bytes:
    """The file of a picture that is looked at for a moment."""
    return save(image, form, **({"compress_level": PARTIAL} if form == "png" else {"quality": 80}))


def save(image: Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, form: str = "png") -> str:
    return f"data:{TYPES[form]};base64,{in_base64(data)}"


def as_json(picture: Picture, data: bytes) -> dict[str, Any]:
    """A picture with all that is known of it, as our own routes give it.

    Args:
        data: its file.
    """
    timings: Mapping[str, float] = picture.timings_ms
    return {
        "b64_json": in_base64(data),
        "codes": picture.codes.tolist(),
        "prompt": picture.prompt,
        "seed": picture.seed,
        "model": picture.model,
        "digest": picture.model,
        "settings": dict(picture.settings),
        "timings": {name: round(timings[name], 1) for name in ("plan", "render", "total")},
    }


def unknown(picture: Picture) -> dict[str, Any]:
    """The words of a picture's prompt that the model was not taught, as every route tells them."""
    return {"unknown_words": [{"word": one.word, "nearest": list(one.nearest)} for one in picture.unknown_words]}


class Shelf:
    """Pictures that are fetched by a URL that nobody can guess; the oldest go first.

    Args:
        room: pictures.
    """

    def __init__(self, room: int):
        self.room = room
        self.files: collections.OrderedDict[str, tuple[bytes, str]] = collections.OrderedDict()

    def put(self, data: bytes, form: str) -> str:
        """Keep a file; gives its name."""
        name = f"{secrets.token_urlsafe(18)}.{form}"
        self.files[name] = (data, TYPES[form])
        while len(self.files) > self.room:
            self.files.popitem(last=False)
        return name

    def get(self, name: str) -> tuple[bytes, str] | None:
        """A file and its media type."""
        return self.files.get(name)
