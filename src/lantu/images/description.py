"""Reading a PNG's record of how it was drawn: a single text chunk named ``lantu``.

Anyone may have written it, so its size, its compression, and the types and ranges of all values are checked.
``lantu.tasks.reader`` checks whether it belongs to the picture.
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
from lantu.types import MASK_CODE, MAX_GRID

CHUNK = "lantu"  # the keyword of the text chunk
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MAX_TEXT = 1 << 20  # bytes; the largest grid takes a fiftieth of that
MAX_CHUNKS = 100_000
HINT = "give an unedited PNG that lantu drew"


@dataclass(frozen=True, eq=False)
class Description:
    """A picture's record of how it was drawn.

    Attributes:
        codes: (h, w) int64, each 0 or more, or MASK_CODE at the end, at most ``MAX_GRID`` a side, of the codebook of
            ``model``; (h, w, E) where its cells are vectors of levels.
        prompt: "" for a picture that was rendered from codes.
        seed: of draft and rendering.
        model: digest of the model directory.
        settings: sampling parameters, and possibly other entries.
        pixels: ``metadata.pixels_digest`` of the picture; None in files of lantu 0.1.
    """

    codes: np.ndarray
    prompt: str
    seed: int
    model: str
    settings: dict[str, Any]
    pixels: str | None


def described(source: "Path | BinaryIO", name: str) -> Description | None:
    """A picture's record of how it was drawn; None if it has none, or is not a PNG.

    Args:
        source: a path, or a file, which is read from its beginning.
        name: of the picture, for errors.

    Raises:
        ImageError: the record is invalid.
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
        raise ImageError(f"the record of the drawing in {name} is damaged", HINT) from problem


def _checked(record: Any) -> Description:
    """A description from its JSON.

    Raises:
        ValueError, TypeError, KeyError, LantuError: a value is missing, of a wrong type or out of range.
    """
    rows, prompt, seed, model = record["codes"], record["prompt"], record["seed"], record["model"]
    settings, pixels = record["settings"], record.get("pixels")
    if not (isinstance(prompt, str) and isinstance(model, str) and isinstance(settings, dict)):
        raise TypeError("prompt, model or settings")
    if not isinstance(pixels, str | None) or type(seed) is not int:
        raise TypeError("pixels or seed")
    if not all(isinstance(value, str | int | float | None) for value in settings.values()):
        raise TypeError("settings")
    if not isinstance(settings.get("sampler", ""), str):
        raise TypeError("sampler")
    # Raises for what JSON can't encode: lone surrogates, NaN and infinity.
    json.dumps([prompt, model, settings], ensure_ascii=False, allow_nan=False).encode()
    SamplingParams.read(settings)
    choose_seed(seed)
    if not (isinstance(rows, list) and 0 < len(rows) <= MAX_GRID):
        raise ValueError("codes")
    if not all(isinstance(row, list) and 0 < len(row) <= MAX_GRID and len(row) == len(rows[0]) for row in rows):
        raise ValueError("rows of codes")
    cells = [cell if isinstance(cell, list) else [cell] for row in rows for cell in row]
    codes = [code for cell in cells for code in cell]
    known = codes.index(MASK_CODE) if MASK_CODE in codes else len(codes)  # the first codes of a sequence, if not all
    if not known or any(type(code) is not int or not 0 <= code < 2**31 for code in codes[:known]):
        raise ValueError("codes")
    if any(type(code) is not int or code != MASK_CODE for code in codes[known:]):
        raise ValueError("codes after those that are missing")
    return Description(np.array(rows, np.int64), prompt, seed, model, settings, pixels)


def _texts(file: BinaryIO) -> list[str]:
    """The texts of all ``lantu`` chunks of a PNG; none if the file is not a PNG.

    Raises:
        ValueError, zlib.error: one is too large or damaged.
    """
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return []
    texts, key = [], CHUNK.encode() + b"\0"
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IEND":
            break
        length, kind = struct.unpack(">I4s", header)
        start = file.read(min(length, len(key))) if kind in TEXTS else b""
        if start != key:
            file.seek(length - len(start) + 4, io.SEEK_CUR)
            continue
        if length > MAX_TEXT:
            raise ValueError(f"a chunk of {length} bytes")
        data, sum_ = file.read(length - len(start)), file.read(4)
        if sum_ != struct.pack(">I", zlib.crc32(kind + start + data)):
            raise ValueError("a wrong checksum, or a truncated chunk")
        texts.append(_text(kind, data))
    return texts


def _text(kind: bytes, data: bytes) -> str:
    """The text of a chunk, after its keyword.

    Raises:
        ValueError, zlib.error: it is damaged, or too large when decompressed.
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
        data = unpacking.decompress(data, MAX_TEXT)
        if not unpacking.eof:
            raise ValueError("a text that is too large or truncated")
    return data.decode("latin-1" if kind == b"zTXt" else "utf-8")
