"""Reading what a PNG says of how it was drawn: one ``lantu`` text chunk, whoever wrote it.

Anybody may have written it, so nothing in it is taken as it is: its size, its compression, the types and ranges of all
its values are checked. Whether it belongs to the pixels beside it is for ``lantu.tasks.reader`` to find out.
"""

import io
import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed
from lantu.errors import ImageError, LantuError
from lantu.tokens.vocabulary import MAX_SIDE

CHUNK = "lantu"  # the keyword of the text chunk
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MOST_TEXT = 1 << 20  # bytes; the largest grid takes a fiftieth
MOST_CHUNKS = 100_000
HINT = "give a PNG that lantu drew, unedited"


@dataclass(frozen=True, eq=False)
class Description:
    """How a picture was drawn, by its own account.

    Attributes:
        codes: (h, w) int64, each 0 or more, at most ``MAX_SIDE`` a side; of which codebook only ``model`` tells.
        prompt: "" for a picture that was rendered from codes.
        seed: of the draft and of the rendering.
        model: digest of the model directory.
        settings: the dials, whatever else is there.
        pixels: ``metadata.pixels_digest`` of the picture; None in what lantu 0.1 wrote.
    """

    codes: np.ndarray
    prompt: str
    seed: int
    model: str
    settings: dict[str, Any]
    pixels: str | None


def described(source: "Path | BinaryIO", name: str) -> Description | None:
    """What a picture says of how it was drawn; None if it says nothing of it, or is no PNG.

    Args:
        source: a path, or a file that is read from its beginning.
        name: for errors.

    Raises:
        ImageError: it says something that can't be right.
    """
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                texts = _texts(file)
        else:
            source.seek(0)
            texts = _texts(source)
        if not texts:
            return None
        if len(texts) > 1:
            raise ValueError(f"{len(texts)} chunks")
        return _checked(json.loads(texts[0]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, LantuError, OSError, zlib.error) as problem:
        raise ImageError(f"what {name} says of its drawing is damaged", HINT) from problem


def _checked(said: Any) -> Description:
    """A description from its JSON.

    Raises:
        ValueError, TypeError, KeyError, LantuError: a value is missing, or of another type or range.
    """
    rows, prompt, seed, model = said["codes"], said["prompt"], said["seed"], said["model"]
    settings, pixels = said["settings"], said.get("pixels")
    if not (isinstance(prompt, str) and isinstance(model, str) and isinstance(settings, dict)):
        raise TypeError("prompt, model or settings")
    if not isinstance(pixels, str | None) or type(seed) is not int:
        raise TypeError("pixels or seed")
    if not all(isinstance(value, str | int | float | None) for value in settings.values()):
        raise TypeError("settings")
    if not isinstance(settings.get("sampler", ""), str):
        raise TypeError("sampler")
    # What can't be written again: half characters, numbers that are none.
    json.dumps([prompt, model, settings], ensure_ascii=False, allow_nan=False).encode()
    SamplingParams.read(settings)
    choose_seed(seed)
    if not (isinstance(rows, list) and 0 < len(rows) <= MAX_SIDE):
        raise ValueError("codes")
    if not all(isinstance(row, list) and 0 < len(row) <= MAX_SIDE and len(row) == len(rows[0]) for row in rows):
        raise ValueError("rows of codes")
    if not all(type(code) is int and 0 <= code < 2**31 for row in rows for code in row):
        raise ValueError("codes")
    return Description(np.array(rows, np.int64), prompt, seed, model, settings, pixels)


def _texts(file: BinaryIO) -> list[str]:
    """The texts of all ``lantu`` chunks of a PNG, before and behind its pixels; none of another file.

    Raises:
        ValueError, zlib.error: one is too large, or damaged.
    """
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return []
    texts, key = [], CHUNK.encode() + b"\0"
    for _ in range(MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IEND":
            break
        length, kind = struct.unpack(">I4s", header)
        start = file.read(min(length, len(key))) if kind in TEXTS else b""
        if start != key:
            file.seek(length - len(start) + 4, io.SEEK_CUR)
            continue
        if length > MOST_TEXT:
            raise ValueError(f"a chunk of {length} bytes")
        data, sum_ = file.read(length - len(start)), file.read(4)
        if sum_ != struct.pack(">I", zlib.crc32(kind + start + data)):
            raise ValueError("a check sum that is wrong, or no end")
        texts.append(_text(kind, data))
    return texts


def _text(kind: bytes, data: bytes) -> str:
    """The text of a chunk, behind its keyword.

    Raises:
        ValueError, zlib.error: it is damaged, or too large when it is unpacked.
    """
    if kind == b"tEXt":
        return data.decode("latin-1")
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, data = data[:1] == b"\1", data[1:]
    if packed and data[:1] != b"\0":
        raise ValueError("an unknown compression")
    data = data[1:]
    if kind == b"iTXt":
        _language, _translated, data = data.split(b"\0", 2)
    if packed:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(data, MOST_TEXT)
        if not unpacking.eof:
            raise ValueError("a text too large, or cut off")
    return data.decode("latin-1" if kind == b"zTXt" else "utf-8")
