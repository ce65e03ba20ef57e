"""Reads files of any number of prompts row by row, from any row on.

A text file (a prompt a line), JSON lines, CSV or TSV. A row may have a seed, a size and n, the number of its drawings.
"""

import contextlib
import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lantu.errors import DataError, LantuError
from lantu.evaluation.prompts import TEXT, json_object, named_cells, prompt_of, unquoted
from lantu.files.untrusted import open_regular, shown
from lantu.models.validation import check_prompt, parse_shape

MAX_LINE = 400_000  # bytes
MAX_COUNT = 1000  # drawings of a row
BOM = b"\xef\xbb\xbf"
KINDS = {".txt": "text", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "tsv"}
HINT = "give .txt (a prompt a line), .jsonl, .csv or .tsv with a column prompt, and seed, size and n if you like"
OURS = ("seed", "size", "n")


@dataclass(frozen=True)
class Row:
    """A prompt of a file.

    Attributes:
        number: of the row, from 0; empty lines don't count.
        prompt: what to draw.
        end: where the next row begins, in bytes.
        seed: of its first drawing, if the row has one.
        size: as it was written, "192x128" or "3:4"; "" for the default.
        count: its drawings; None for the default.
        data: all else that the file says of it, by column or key.
    """

    number: int
    prompt: str
    end: int
    seed: int | None = None
    size: str = ""
    count: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class PromptFile:
    """A file of prompts, of which a row at a time is in memory.

    Args:
        path: its ending says what it holds, see ``KINDS``.

    Attributes:
        mark: size in bytes and time of the last change, by which a later change is noticed.

    Raises:
        DataError: it can't be read, or is of an unknown kind.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.kind = KINDS.get(self.path.suffix.lower(), "")
        with _naming(self.path):
            status = self.path.stat()
            self.mark = (status.st_size, status.st_mtime_ns)
            if not self.kind:
                raise ValueError("it is of an unknown kind")
            self.start, self.names = self._head()

    def rows(self, start: int | None = None, number: int = 0) -> Iterator[Row]:
        """Every row from a place on.

        Args:
            start: a row's ``end``; by default the first row's place.
            number: of the row there.

        Raises:
            DataError: the file can't be read, or a row is not one, with its line, counted from ``start``.
        """
        lines = _Lines(self.kind, self.start if start is None else start, 1 + (self.kind in ("csv", "tsv")))
        with _naming(self.path, lines), open_regular(self.path) as file:
            for cells in lines.read(file):
                yield self._row(number, cells, lines.end)
                number += 1

    def _row(self, number: int, cells: Any, end: int) -> Row:
        """Raises ValueError or LantuError."""
        if self.kind == "text":
            return Row(number, check_prompt(cells), end)
        cells = cells if self.kind == "json" else named_cells(number + 1, self.names, cells)
        prompt = prompt_of(number + 1, cells)
        known = {name.strip().lower(): value for name, value in reversed(list(cells.items()))}
        seed, size, count = (known.get(name) for name in OURS)
        used = {*OURS, next(name for name in TEXT if name in known)}
        data = {name: value for name, value in cells.items() if name.strip().lower() not in used}
        ours = (_number("seed", seed, 0, 2**63 - 1), _size(size), _number("n", count, 1, MAX_COUNT))
        return Row(number, check_prompt(prompt.text), end, *ours, data)

    def _head(self) -> tuple[int, list[str]]:
        """Where the first row begins, and the names of a table's columns."""
        with open_regular(self.path) as file:
            start = len(BOM) if file.read(len(BOM)) == BOM else 0
            if self.kind not in ("csv", "tsv"):
                return start, []
            lines = _Lines(self.kind, start)
            names = [name.strip() for name in next(lines.read(file), [])]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("two of its columns have the same name")
        return lines.end, names


@contextlib.contextmanager
def _naming(path: Path, lines: "_Lines | None" = None) -> Iterator[None]:
    """Turn what is wrong with a file into a DataError that names it, and the line."""
    try:
        yield
    except (OSError, ValueError, csv.Error, LantuError) as problem:
        why = getattr(problem, "strerror", None) or getattr(problem, "message", None) or str(problem)
        where = f"line {lines.number} of {path}" if lines and lines.number else str(path)
        hint = problem.hint if isinstance(problem, LantuError) and problem.hint else HINT
        raise DataError(f"can't take prompts from {where} ({why})", hint) from problem


class _Lines:
    """The rows of a file in the cells of their kind: a text, a JSON object, or a list of texts.

    Attributes:
        end: where the next row begins, in bytes.
        number: of the line that was read last.
    """

    def __init__(self, kind: str, start: int, first: int = 1):
        self.kind, self.end, self.number = kind, start, first - 1

    def read(self, file: BinaryIO) -> Iterator[Any]:
        """Raises OSError, ValueError or csv.Error."""
        file.seek(self.end)
        if self.kind == "csv":
            yield from (cells for cells in csv.reader(self.texts(file), strict=True) if any(cells))
            return
        for text in self.texts(file):
            line = text.rstrip("\r\n")
            if not line.strip():
                continue
            if self.kind == "tsv":
                yield [unquoted(cell) for cell in line.split("\t")]
            else:
                yield line.strip() if self.kind == "text" else json_object(self.number, line)

    def texts(self, file: BinaryIO) -> Iterator[str]:
        """Lines with their ends."""
        while line := file.readline(MAX_LINE + 1):
            self.number += 1
            if len(line) > MAX_LINE:
                raise ValueError(f"it has more than {MAX_LINE:,} bytes")
            if b"\0" in line:
                raise ValueError("it is not text")
            self.end += len(line)
            try:
                yield line.decode()
            except UnicodeDecodeError as problem:
                raise ValueError("it is not in UTF-8") from problem


def _number(name: str, value: Any, least: int, most: int) -> int | None:
    """An integer, as JSON has it or as tables do, where a column with gaps may have made it 7.0."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,19})(\.0*)?", value.strip(), re.ASCII)):
        value = int(found[1])
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"its {name} is {shown(value)}, not a number from {least} to {most}")
    return value


def _size(value: Any) -> str:
    """A size as texts write it; JSON may have it as [width, height]."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    if isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value):
        value = "{}x{}".format(*value)
    if not isinstance(value, str):
        raise ValueError(f"its size is {shown(value)}, not a text such as 192x128 or 3:4")
    parse_shape(value)
    return value.strip()
