"""Plain text in files: what a language model reads beside documents of pictures."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from lantu import files
from lantu.errors import DataError

ENDINGS = ("", ".txt", ".md", ".rst", ".jsonl")  # of files that are read in a folder


def text_files(source: str | Path) -> list[Path]:
    """The files of plain text in a folder, or the one file.

    Raises:
        DataError: there are none.
    """
    place = files.expand(source)
    if place.is_file():
        return [place]
    found = [
        path
        for path in sorted(place.rglob("*"))
        if path.is_file()
        and path.suffix in ENDINGS
        and not any(part[0] == "." for part in path.relative_to(place).parts)
    ]
    if not found:
        raise DataError(f"no plain text in {source}", "give a text file, a .jsonl with texts, or a folder of them")
    return found


def text_digest(source: str | Path) -> str:
    """The SHA-256 of all that ``pages`` reads."""
    return hashlib.sha256("".join(files.sha256(path) for path in text_files(source)).encode()).hexdigest()


def pages(source: str | Path) -> Iterator[str]:
    """The texts: each file is one, and each line of a .jsonl file with a "text".

    Raises:
        DataError: a file can't be read, or is not text in UTF-8.
    """
    for path in text_files(source):
        try:
            content = path.read_bytes().decode("utf-8")
            if path.suffix == ".jsonl":
                yield from (text_of(json.loads(line)) for line in content.splitlines() if line.strip())
            else:
                yield content
        except (OSError, ValueError) as problem:
            hint = "give text in UTF-8, or JSON lines with a text in each"
            raise DataError(f"{path} is not plain text ({problem})", hint) from problem


def text_of(line: object) -> str:
    """The text of a line of JSON. Raises ValueError if there is none."""
    if not isinstance(line, dict) or not isinstance(line.get("text"), str):
        raise ValueError('a line has no "text"')
    return line["text"]
