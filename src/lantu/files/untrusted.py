"""Reading untrusted files: only regular files are opened, only strict JSON is parsed, only numbers in range pass.

A model directory may come from anyone. Functions here raise ``ValueError`` for a bad file; callers, who know what the
file is for, turn it into a ``ModelError``.
"""

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lantu.errors import ModelError

MAX_JSON = 256_000_000  # bytes; the largest published tokenizer.json has about 35 MB
SHARED_STORE = ".huggingface-shared-blobs"  # the mark in blobs/ of a Hugging Face cache
NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # so that opening a pipe doesn't wait for a writer


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read it.

    A symbolic link must point into its own folder. The only exception is the Hugging Face cache, whose snapshots are
    links to files in ``blobs/``, which may be links into a store that all its repositories share.

    Raises:
        OSError: the file is missing or unreadable.
        ValueError: it is a pipe, a device, a folder, or a link that leaves its folder.
    """
    if path.is_symlink():
        target, home = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
        if home not in target.parents and not is_blob(target):
            raise ValueError(f"{path.name} is a link that leaves its folder")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is not a regular file")
    descriptor = os.open(path, os.O_RDONLY | NO_WAIT)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # replaced in the meantime
        os.close(descriptor)
        raise ValueError(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


def check_regular(paths: Iterable[Path]) -> None:
    """Refuse irregular files before a library reads them.

    Raises:
        ModelError: one is missing, a pipe, a device, or a link that leaves its folder.
    """
    for path in paths:
        try:
            open_regular(path).close()
        except (OSError, ValueError) as problem:
            raise ModelError(f"{path} can't be read ({problem})", "give a complete model directory") from problem


def is_blob(target: Path) -> bool:
    """Whether a path is a blob of a Hugging Face cache: models--OWNER--NAME/blobs/DIGEST, or blobs/AB/DIGEST of the
    shared store, which huggingface_hub marks as its own."""
    if target.parent.name == "blobs":
        return target.parent.parent.name.startswith("models--")
    store = target.parent.parent
    return store.name == "blobs" and target.name[:2] == target.parent.name and (store / SHARED_STORE).is_file()


def is_plain_name(name: object) -> bool:
    """Whether a name is that of a file in the same folder: no path, no drive, no control characters."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and name not in ("", ".", "..")
        and not set(name) & {"/", "\\", ":"}
    )


def read_bytes(path: Path, most: int = MAX_JSON) -> bytes:
    """The content of a regular file of at most ``most`` bytes. Raises OSError or ValueError."""
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path.name} has more than {most:,} bytes")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises OSError or ValueError."""
    value = parse_json(read_bytes(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return value


def parse_json(content: bytes) -> Any:
    """Parse strict JSON (RFC 8259) in UTF-8, without the two things on which parsers disagree: duplicate names in an
    object, and numbers that don't fit a float.

    Raises:
        ValueError: it is not strict JSON.
    """
    hooks: dict[str, Any] = {"object_pairs_hook": unique, "parse_constant": finite, "parse_float": finite}
    try:
        return json.loads(content.decode("utf-8"), **hooks)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's members. Raises ValueError for a duplicate name."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(twice)} occurs twice in one object")
    return values


def finite(text: str) -> float:
    """A number. Raises ValueError if it is infinite or NaN."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def shown(value: object, most: int = 60) -> str:
    """A value as text for a one-line message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints
        text = "a value too large to show"
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True)
class Fields:
    """Checked access to the fields of a JSON object.

    Args:
        values: the object.
        where: its name in messages, e.g. "decoder/config.json".

    All methods raise a ModelError that names the field, its value and what is expected.
    """

    values: Mapping[str, Any]
    where: str

    def whole(self, name: str, least: int, most: int) -> int:
        """A whole number."""
        value = self.get(name)
        if type(value) is not int or not least <= value <= most:
            self.refuse(name, f"a whole number from {least} to {most}")
        return value

    def real(self, name: str, least: float, most: float) -> float:
        """A finite number."""
        value = self.get(name)
        if type(value) not in (int, float) or not least <= value <= most:
            self.refuse(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def wholes(self, name: str, least: int, most: int) -> tuple[int, ...]:
        """A list of whole numbers."""
        return self.list(name, lambda each: type(each) is int and least <= each <= most, f"{least} to {most}")

    def reals(self, name: str, least: float, most: float) -> tuple[float, ...]:
        """A list of finite numbers."""
        wanted = f"{least:g} to {most:g}"
        return self.list(name, lambda each: type(each) in (int, float) and least <= each <= most, wanted)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return self.list(name, lambda each: isinstance(each, str), "texts")

    def list(self, name: str, fits: Any, wanted: str) -> tuple[Any, ...]:
        """A list whose items all fit."""
        value = self.get(name)
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(map(fits, value)):
            self.refuse(name, f"a list of {wanted}")
        return tuple(value)

    def one_of(self, name: str, known: Sequence[object]) -> Any:
        """One of the known values."""
        value = self.get(name)
        if not any(type(value) is type(each) and value == each for each in known):
            self.refuse(name, f"one of {', '.join(map(shown, known))}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing or null."""
        return self.given(name) and self.one_of(name, (True, False))

    def get(self, name: str) -> Any:
        """A required field."""
        if name not in self.values:
            raise ModelError(f"{self.where} lacks {name}", "give a complete model directory")
        return self.values[name]

    def given(self, name: str) -> bool:
        """Whether an optional field is present and not null."""
        return self.values.get(name) is not None

    def only(self, known: Sequence[str]) -> None:
        """Refuse unknown fields."""
        if unknown := [name for name in self.values if name not in known]:
            raise ModelError(f"{self.where} has an unknown field {shown(unknown[0])}", f"known are {', '.join(known)}")

    def refuse(self, name: str, wanted: str) -> None:
        """Raise the error: what was found, and what is expected."""
        found = shown(self.values.get(name))
        raise ModelError(f"{self.where} has {name} {found}, not {wanted}", "restore it, or fetch the model again")
