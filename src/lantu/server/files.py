"""Pictures as files and in JSON, and the store of pictures that clients fetch by URL."""

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
# PNG compression levels. zlib's default takes 4.6 ms of CPU time for 128 x 128 pixels, a sixth of the drawing's time.
# Level 4 takes half as long for 2 % more bytes, level 1 a third as long for 18 % more.
FINAL_LEVEL, PREVIEW_LEVEL = 4, 1


def encode(picture: Picture, form: str = "png", quality: int | None = None) -> bytes:
    """A picture's file. A PNG contains metadata on how it was drawn.

    Args:
        form: one of ``TYPES``.
        quality: of JPEG and WebP, 0 to 100; None for 95.
    """
    if form == "png":
        return save(picture.image, form, pnginfo=metadata.chunk(picture), compress_level=FINAL_LEVEL)
    return save(picture.image, form, quality=95 if quality is None else max(1, quality))


def encode_preview(image: Image, form: str = "png") -> bytes:
    """A preview's file, encoded for speed."""
    return save(image, form, **({"compress_level": PREVIEW_LEVEL} if form == "png" else {"quality": 80}))


def save(image: Image, form: str, **options: Any) -> bytes:
    """An image's file.

    Args:
        options: for Pillow.
    """
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def in_base64(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


def data_url(data: bytes, form: str = "png") -> str:
    """A picture's file as a data: URL."""
    return f"data:{TYPES[form]};base64,{in_base64(data)}"


def as_json(picture: Picture, data: bytes) -> dict[str, Any]:
    """A picture and everything known about it, in the form of the native routes.

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


def unknown_words(picture: Picture) -> dict[str, Any]:
    """The answer's field for words of the prompt that the model was not trained on; the same on every route."""
    words = [{"word": unknown.word, "nearest": list(unknown.nearest)} for unknown in picture.unknown_words]
    return {"unknown_words": words}


class PictureStore:
    """Keeps the newest pictures for clients to fetch by URL. Their names can't be guessed.

    Args:
        capacity: the most pictures kept.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.files: collections.OrderedDict[str, tuple[bytes, str]] = collections.OrderedDict()

    def put(self, data: bytes, form: str) -> str:
        """Keep a file; returns its name."""
        name = f"{secrets.token_urlsafe(18)}.{form}"
        self.files[name] = (data, TYPES[form])
        while len(self.files) > self.capacity:
            self.files.popitem(last=False)
        return name

    def get(self, name: str) -> tuple[bytes, str] | None:
        """A file and its media type; None when it is not kept."""
        return self.files.get(name)
