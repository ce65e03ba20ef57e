"""A table of captions that grows, so that a killed run goes on after the last whole row.

JSON lines, a row a picture, in order: its file, its captions by language, the model; or why it has none. While the
table is made it is ``captions.jsonl.part``, and only when it is whole ``captions.jsonl``.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lantu.errors import DataError, DiskError
from lantu.files import WRITTEN, locked, writing
from lantu.recipes.bulk.captioner import LEFT_OUT, Order, Row, Wanted, column

ENDINGS = (".jsonl", ".ndjson")
LONGEST = 1_000_000  # bytes of a row
START = b'{"file": "'  # of every row


class CaptionTable:
    """A table of a run's captions; only one process adds to it at a time.

    Args:
        path: of the table when it is whole.

    Raises:
        DataError: its name ends otherwise than a table of JSON lines.
    """

    def __init__(self, path: Path):
        if path.suffix.lower() not in ENDINGS:
            raise DataError(f"captions are written as JSON lines, not as {path.name}", "call it captions.jsonl")
        self.path, self.part = path, path.with_name(f"{path.name}.part")

    @property
    def seed(self) -> int | None:
        """That of an earlier run's first picture; None if there is no such run, or it needs none."""
        for path in (self.path, self.part):
            with contextlib.suppress(OSError), path.open("rb") as file:
                seed = (_row(file.readline(LONGEST)) or {}).get("seed")
                return seed if type(seed) is int else None
        return None

    def check(self, wanted: Sequence[Wanted], order: Order) -> None:
        """Refuse to write over anything but an earlier part of the same run. Raises DiskError."""
        for path in filter(Path.exists, (self.path, self.part)):
            with writing(path), path.open("rb") as file:
                self._known(file, path, wanted, order)

    @contextlib.contextmanager
    def filling(self, wanted: Sequence[Wanted], order: Order, together: int) -> "Iterator[Filling]":
        """Open it to add the rows that are missing; at the end it is whole, unless that failed.

        Args:
            together: pictures that are captioned together: a run goes on after a whole group.

        Raises:
            DiskError: it holds something else, or can't be written.
        """
        with writing(self.part):
            self.part.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.part):
            # Another process may have made it meanwhile.
            if self.path.exists():
                if self.part.exists() and not self.part.stat().st_size:
                    self.part.unlink()
                self.check(wanted, order)
                yield Filling(None, len(wanted))
                return
            with writing(self.part), self.part.open("r+b") as file:
                ends = self._known(file, self.part, wanted, order)
                done = len(ends) - 1 if len(ends) > len(wanted) else (len(ends) - 1) // together * together
                file.truncate(ends[done])
                file.seek(ends[done])
                yield Filling(file, done)
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                raise DiskError(f"{self.path} was made meanwhile by something else", f"the captions are in {self.part}")
            with writing(self.path):
                os.rename(self.part, self.path)
            WRITTEN.append(self.path)

    def _known(self, file: BinaryIO, path: Path, wanted: Sequence[Wanted], order: Order) -> list[int]:
        """Where the rows of this run end, in bytes: 0, and after each. Raises DiskError: there are others."""
        ends, hint = [0], "choose another file, or move it away"
        for line in file:
            row = _row(line)
            if row is None and path == self.part and (ends != [0] or START.startswith(line[: len(START)])):
                break  # half of one
            if row is None or len(ends) > len(wanted) or not fits(row, wanted[len(ends) - 1], order):
                raise DiskError(f"{path} holds other things than these captions", hint)
            ends.append(ends[-1] + len(line))
        if path == self.path and len(ends) <= len(wanted):
            raise DiskError(f"{path} lacks captions of some pictures, which may be new", hint)
        return ends

    def rows(self) -> Iterator[Row]:
        """Every row of the whole table."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)


class Filling:
    """A table that is open.

    Attributes:
        done: how many of its rows are there.
    """

    def __init__(self, file: BinaryIO | None, done: int):
        self.file, self.done = file, done

    def add(self, rows: Sequence[Row]) -> None:
        """Append some rows."""
        assert self.file is not None
        self.file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
        self.file.flush()
        self.done += len(rows)


def fits(row: Row, wanted: Wanted, order: Order) -> bool:
    """Whether a row is what a run writes of a picture."""
    seed = wanted.seed if order.temperature else None
    how = (row.get("file"), row.get("model"), row.get("temperature", 0.0), row.get("seed"))
    if how != (wanted.name, order.written_by, order.temperature, seed):
        return False
    return LEFT_OUT in row or {key for key in row if key.startswith(column(""))} == set(map(column, wanted.languages))


def _row(line: bytes) -> dict[str, Any] | None:
    """The object of a whole line; None if it holds none."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
