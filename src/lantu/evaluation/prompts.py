"""Reads files of prompts: JSON lines (GenEval), tables (PartiPrompts, DPG-Bench), plain text, and folders of texts."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lantu.errors import DataError
from lantu.files.untrusted import parse_json, read_bytes, shown

MAX_BYTES = 64_000_000  # of a file
MAX_LINE = 100_000  # characters
MAX_PROMPTS = 100_000  # so that five digits number them
TEXT = ("prompt", "text", "caption", "提示词")  # columns that hold the prompt, the best first
NAME = ("item_id", "id", "name")  # columns that name it
KNOWN = "give .jsonl, .tsv, .csv, .txt (a prompt a line), or a folder of .txt files (a prompt each)"


@dataclass(frozen=True)
class SuitePrompt:
    """A prompt of a suite.

    Attributes:
        text: what to draw.
        name: what its file calls it; "" if it doesn't.
        row: everything that its file says of it, by column or key.
    """

    text: str
    name: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)


def read_prompts(path: str | Path) -> list[SuitePrompt]:
    """The prompts of a file or a folder, in their order.

    A table of questions about pictures, such as DPG-Bench's, repeats a prompt for each question: rows that follow one
    another with the same name and text are one prompt.

    Raises:
        DataError: it is missing, of an unknown kind, damaged, too large, or holds no prompt.
    """
    path = Path(path)
    try:
        prompts = [_in_file(file) for file in sorted(path.glob("*.txt"))] if path.is_dir() else list(_prompts(path))
    except (OSError, ValueError, csv.Error) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise DataError(f"can't read the prompts in {path} ({why})", KNOWN) from problem
    if not prompts:
        raise DataError(f"{path} holds no prompts", KNOWN)
    if len(prompts) > MAX_PROMPTS:
        raise DataError(f"{path} holds {len(prompts):,} prompts", f"give {MAX_PROMPTS:,} or fewer")
    return prompts


def _prompts(path: Path) -> Iterator[SuitePrompt]:
    """Raises OSError, ValueError or csv.Error."""
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".ndjson", ".tsv", ".csv", ".txt"):
        raise ValueError("it is of an unknown kind" if path.exists() else "there is no such file")
    text = _text(path)
    if suffix == ".txt":
        return (SuitePrompt(line.strip()) for line in _lines(text) if line.strip())
    if suffix in (".jsonl", ".ndjson"):
        return _of_rows(json_object(number, line) for number, line in enumerate(_lines(text), 1) if line.strip())
    return _of_rows(_tab_separated(text) if suffix == ".tsv" else _comma_separated(text))


def _in_file(path: Path) -> SuitePrompt:
    return SuitePrompt(" ".join(_text(path).split()), path.stem)


def _text(path: Path) -> str:
    content = read_bytes(path, MAX_BYTES)
    if b"\0" in content:
        raise ValueError(f"{path.name} is not text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path.name} is not in UTF-8") from problem


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            raise ValueError(f"line {number} has {len(line):,} characters")
        yield line.rstrip("\r")


def json_object(number: int, line: str) -> dict[str, Any]:
    """A line of JSON lines. Raises ValueError, which names the line by its number."""
    try:
        row = parse_json(line.encode())
    except ValueError as problem:
        raise ValueError(f"line {number} is not JSON") from problem
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no JSON object")
    try:
        json.dumps(row, ensure_ascii=False).encode()  # JSON can escape half a character, which no file can hold
    except UnicodeEncodeError as problem:
        raise ValueError(f"line {number} is not valid Unicode") from problem
    return row


def _tab_separated(text: str) -> Iterator[dict[str, Any]]:
    """Rows of a TSV. Its cells are literal, except those that are quoted as a whole, as programs for CSV write them."""
    lines = (line.split("\t") for line in _lines(text) if line.strip())
    return _table([unquoted(cell) for cell in line] for line in lines)


def unquoted(cell: str) -> str:
    """A cell of a TSV without quotes around the whole of it."""
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _comma_separated(text: str) -> Iterator[dict[str, Any]]:
    return _table(line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if any(line))


def _table(lines: Iterable[list[str]]) -> Iterator[dict[str, Any]]:
    lines = iter(lines)
    names = [name.strip() for name in next(lines, [])]
    if len(set(names)) < len(names):
        raise ValueError("two of its columns have the same name")
    return (named_cells(number, names, line) for number, line in enumerate(lines, 1))


def named_cells(number: int, names: list[str], cells: list[str]) -> dict[str, str]:
    """A row of a table by its columns' names. Raises ValueError, which names the row by its number."""
    if any(cells[len(names) :]):  # a prompt with a comma would lose what follows it
        raise ValueError(f"row {number} has {len(cells)} cells, the head {len(names)}: quote texts with commas in them")
    return dict(zip(names, cells, strict=False))


def _of_rows(rows: Iterable[dict[str, Any]]) -> Iterator[SuitePrompt]:
    """The prompts of rows, once where rows that follow one another have the same name and text."""
    before = ("", "")
    for number, row in enumerate(rows, 1):
        prompt = prompt_of(number, row)
        if not prompt.name or (prompt.name, prompt.text) != before:
            yield prompt
        before = (prompt.name, prompt.text)


def prompt_of(number: int, row: dict[str, Any]) -> SuitePrompt:
    """The prompt of a row. Raises ValueError, which names the row by its number."""
    columns = {str(name).strip().lower(): name for name in reversed(list(row))}
    column = next((columns[name] for name in TEXT if name in columns), None)
    if column is None:
        raise ValueError(f"row {number} has no prompt; its columns are {shown(list(row))}")
    text = row[column]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"the prompt in row {number} is {shown(text)}, not a text")
    name = next((row[columns[name]] for name in NAME if name in columns), "")
    return SuitePrompt(text.strip(), str(name).strip() if isinstance(name, str | int) else "", row)
