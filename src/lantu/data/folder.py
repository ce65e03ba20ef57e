"""A user's own pictures and captions: what there is to take in.

A folder of pictures, each with ``NAME.txt`` (a caption a line) or ``NAME.json`` beside it, or without any; a CSV or
parquet table with columns ``image``, ``caption`` and perhaps ``caption_en``, ``caption_zh``; WebDataset tars, one or a
folder of them. JSON may say ``caption`` (a string or a list), ``caption_en``, ``caption_zh``, or
``captions`` ``{"en": […], "zh": […]}``. A caption of no stated language is Chinese if it has a Chinese character.
"""

import csv
import io
import json
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lantu.data.shards import Skipped
from lantu.errors import DataError

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
CAPTION_COLUMNS = ("caption", "caption_en", "caption_zh")
HAN = re.compile("[\u3400-\u9fff]")

Captions = Mapping[str, tuple[str, ...]]


class Content(Protocol):
    """Where a picture's bytes are."""

    def read(self) -> bytes: ...


@dataclass(frozen=True)
class InFile:
    """A file of its own, or a stretch of one."""

    path: Path
    offset: int = 0
    length: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass(frozen=True)
class InTable:
    """A cell of a parquet table: bytes, or as Hugging Face stores them, ``{"bytes", "path"}``."""

    path: Path
    group: int
    row: int

    def read(self) -> bytes:
        cell = _row_group(self.path, self.group)[self.row].as_py()
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if content is None:
            raise ValueError("the cell is empty")
        return content


@lru_cache(maxsize=1)
def _row_group(path: Path, group: int) -> Any:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as table:
        return table.read_row_group(group, columns=["image"]).column("image")


@dataclass(frozen=True)
class Entry:
    """A picture to take in.

    Attributes:
        key: its name within the source.
        content: where its bytes are.
        captions: language → captions.
        bytes: its length, if known without opening it; a changed file is other data.
    """

    key: str
    content: Content
    captions: Captions
    bytes: int = 0


def find_entries(path: Path) -> tuple[list[Entry], list[Skipped]]:
    """Every picture of a source in a fixed order, and files that can't be used.

    Raises:
        DataError: there is nothing to take in, or a table can't be read.
    """
    if not path.exists():
        raise DataError(f"{path} isn't there", "name a folder of pictures, a table or tars")
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    by_suffix = {
        suffix: [file for file in files if file.suffix.lower() == suffix] for suffix in (".tar", ".csv", ".parquet")
    }
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    if by_suffix[".tar"]:
        found = [one for file in by_suffix[".tar"] for one in _in_tar(file)]
    elif pictures:
        found = [_beside(file, file.relative_to(path) if path.is_dir() else Path(file.name)) for file in pictures]
    else:
        found = [one for file in by_suffix[".csv"] for one in _in_csv(file)]
        found += [one for file in by_suffix[".parquet"] for one in _in_parquet(file)]
    entries = [one for one in found if isinstance(one, Entry)]
    if not entries:
        raise DataError(f"no pictures in {path}", "name a folder of pictures, a CSV or parquet table, or tars")
    return entries, [one for one in found if isinstance(one, Skipped)]


def load_picture(entry: Entry, size: int) -> np.ndarray | Skipped:
    """The central square as (size, size, 3) uint8, over white where it is transparent; or why that is impossible."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(entry.content.read()))
            picture.draft("RGB", (size, size))
            picture = _opaque(ImageOps.exif_transpose(picture))
        return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS))
    except UnidentifiedImageError:
        return Skipped(entry.key, "it is not a picture")
    except Exception as problem:  # decoders raise anything at all on a broken file
        return Skipped(entry.key, str(problem) or type(problem).__name__)


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # Pillow would clip 16 bits rather than scale them.
        return Image.fromarray((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def language_of(text: str) -> str:
    """ "zh" if a character is Chinese, else "en"."""
    return "zh" if HAN.search(text) else "en"


def _captions(pairs: Iterable[tuple[str, Any]]) -> Captions:
    """Language → captions, from (language or "", caption or captions) pairs; empty ones are dropped.

    Raises:
        ValueError: a caption isn't text.
    """
    found: dict[str, tuple[str, ...]] = {}
    for language, texts in pairs:
        for text in [texts] if isinstance(texts, str) else texts or ():
            if not isinstance(text, str):
                raise ValueError(f"a caption is {text!r}, not text")
            if text := " ".join(text.split()):
                spoken = language or language_of(text)
                found[spoken] = (*found.get(spoken, ()), text)
    return found


def _from_json(content: str | bytes) -> Captions:
    described = json.loads(content)
    if not isinstance(described, dict):
        raise ValueError("it is no JSON object")
    return _captions(
        [
            *((language, texts) for language, texts in dict(described.get("captions") or {}).items()),
            *((column.partition("_")[2], described.get(column)) for column in CAPTION_COLUMNS),
        ]
    )


def _from_text(content: str) -> Captions:
    return _captions([("", content.splitlines())])


def _beside(file: Path, name: Path) -> Entry | Skipped:
    """A picture with the captions of the files beside it."""
    text, described = file.with_suffix(".txt"), file.with_suffix(".json")
    try:
        captions: Captions = {}
        if described.exists():
            captions = _from_json(described.read_text(encoding="utf-8-sig"))
        elif text.exists():
            captions = _from_text(text.read_text(encoding="utf-8-sig"))
        return Entry(name.as_posix(), InFile(file), captions, file.stat().st_size)
    except (OSError, ValueError, TypeError) as problem:
        return Skipped(name.as_posix(), f"its captions can't be read: {problem}")


def _in_csv(table: Path) -> Iterator[Entry | Skipped]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            _check_columns(table, rows.fieldnames or ())
            for number, row in enumerate(rows, 1):
                yield _named(table, number, row["image"], _row_captions(row))
    except (OSError, ValueError, csv.Error) as problem:
        raise _unreadable(table, problem) from problem


def _in_parquet(table: Path) -> Iterator[Entry | Skipped]:
    try:
        from pyarrow import types
        from pyarrow.parquet import ParquetFile
    except ImportError as problem:
        raise DataError("reading parquet needs pyarrow", "install lantu[train]") from problem
    try:
        with ParquetFile(table) as file:
            _check_columns(table, file.schema_arrow.names)
            kind = file.schema_arrow.field("image").type
            by_name = types.is_string(kind) or types.is_large_string(kind)
            columns = [name for name in CAPTION_COLUMNS if name in file.schema_arrow.names]
            number = 0
            for group in range(file.num_row_groups):
                cells = file.read_row_group(group, columns=[*columns, "image"] if by_name else columns)
                for row, captions in enumerate(map(_row_captions, cells.to_pylist())):
                    number += 1
                    if by_name:
                        yield _named(table, number, cells["image"][row].as_py(), captions)
                    else:
                        yield Entry(f"{table.name} row {number}", InTable(table, group, row), captions)
    except (OSError, ValueError) as problem:
        raise _unreadable(table, problem) from problem


def _row_captions(row: Mapping[str, Any]) -> Captions:
    return _captions((column.partition("_")[2], row.get(column)) for column in CAPTION_COLUMNS)


def _named(table: Path, number: int, name: str | None, captions: Captions) -> Entry | Skipped:
    """The picture that a row of a table names, relative to the table's folder."""
    if not name:
        return Skipped(f"{table.name} row {number}", "no image is named")
    file = table.parent / name
    if not file.is_file():
        return Skipped(name, "it isn't there")
    return Entry(name, InFile(file), captions, file.stat().st_size)


def _check_columns(table: Path, columns: Iterable[str]) -> None:
    if "image" not in columns:
        raise DataError(f"{table} has no column image (it has {', '.join(columns) or 'none'})", "name the column image")


def _unreadable(table: Path, problem: Exception) -> DataError:
    return DataError(f"{table} can't be read ({problem})", "save it anew as CSV in UTF-8, or as parquet")


def _in_tar(path: Path) -> Iterator[Entry | Skipped]:
    """WebDataset: files of one stem are one sample."""
    pictures: dict[str, InFile] = {}
    captions: dict[str, Captions] = {}
    bad: dict[str, Skipped] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                name = PurePosixPath(member.name)
                stem, _, suffix = name.name.partition(".")
                key = f"{path.name}/{name.with_name(stem).as_posix()}"
                suffix = "." + suffix.lower()
                if suffix in PICTURES:
                    pictures[key] = InFile(path, member.offset_data, member.size)
                elif suffix in (".json", ".txt"):
                    try:
                        content = _member(tar, member)
                        if suffix == ".json":
                            captions[key] = _from_json(content)
                        else:
                            captions.setdefault(key, _from_text(content.decode()))
                    except (ValueError, TypeError) as problem:
                        bad[key] = Skipped(f"{path.name}/{name}", f"its captions can't be read: {problem}")
    except (OSError, tarfile.TarError) as problem:
        yield Skipped(path.name, f"{problem}; what comes before is kept")
    for key, content in pictures.items():
        yield bad.get(key) or Entry(key, content, captions.get(key, {}), content.length)


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""
