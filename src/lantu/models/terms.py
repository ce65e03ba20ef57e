"""The terms of a family's published weights: said once per machine, and accepted first where they are unclear."""

import contextlib
import os
import sys
from pathlib import Path

from lantu.errors import DiskError, LantuError
from lantu.files import cache_dir, write_text

VARIABLE = "LANTU_ACCEPT"  # names of families, separated by commas


def check(family: str, unclear: str) -> None:
    """Refuse a family until its terms are accepted.

    Args:
        unclear: what is unclear about them; "" for a family that may be used at once.

    Raises:
        LantuError: the user has not accepted that.
    """
    if unclear and not is_accepted(family, unclear):
        what = f"models of the family {family} are off until you accept their terms: {unclear}"
        raise LantuError(what, f"lantu models accept {family}, or set {VARIABLE}={family}")


def say(family: str, notice: str) -> None:
    """Say the limits of a family's licence on stderr, once per machine."""
    if notice and not is_marked("told", family, notice):
        print(f"lantu: {family}: {notice}", file=sys.stderr)
        with contextlib.suppress(DiskError):  # where nothing can be kept it is said again
            mark("told", family, notice)


def is_accepted(family: str, unclear: str) -> bool:
    """Whether the user accepted the terms, by the command or by the environment."""
    named = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    return family in named or is_marked("accepted", family, unclear)


def accept(family: str, unclear: str) -> None:
    """Remember that the user accepted the terms as they are today. Raises DiskError."""
    mark("accepted", family, unclear)


def place(kind: str, name: str) -> Path:
    """The file of a mark. Raises DiskError where there is no home directory."""
    return cache_dir() / kind / f"{name}.txt"


def is_marked(kind: str, name: str, text: str) -> bool:
    """Whether there is a mark for exactly this text: other terms are said, or accepted, again."""
    try:
        return place(kind, name).read_text(encoding="utf-8") == text
    except (OSError, ValueError, DiskError):
        return False


def mark(kind: str, name: str, text: str) -> None:
    """Write a mark. Raises DiskError."""
    write_text(place(kind, name), text)
