"""Writing that is never half done, and the places where things are kept."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lantu.errors import DiskError

MENDS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that you may write to",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "make the folder first",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def cache_dir() -> Path:
    """The user's cache: ``$LANTU_CACHE``, else ``$XDG_CACHE_HOME/lantu``, else ``~/.cache/lantu``."""
    if override := os.environ.get("LANTU_CACHE"):
        return Path(override).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "lantu"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write ``path`` into a one-line error with its mend.

    Raises:
        DiskError: the disk is full, the place may not be written to, …
    """
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise DiskError(f"can't write {path} ({reason})", MENDS.get(problem.errno or 0, "write elsewhere")) from problem


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it there at the end; on any failure remove it.

    The caller writes the temporary file (or folder). A kill leaves the old ``path`` whole.

    Raises:
        DiskError: it can't be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last: image libraries choose the format by it. The name is chosen before a file has it, so
        # that an interrupt at any moment leaves none behind.
        temporary = path.parent / f".{path.stem}.{secrets.token_hex(8)}{path.suffix}"
        try:
            temporary.touch(exist_ok=False)  # a place that can't be written to is told before the work
            temporary.unlink()
            yield temporary
            if temporary.is_dir() and path.is_dir():
                shutil.rmtree(path)
            os.replace(temporary, path)
        finally:
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same ``path``; a kill lets it go.

    Raises:
        DiskError: ``path`` can't be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two processes that make the same thing at once are not kept apart
        yield
        return
    with writing(path):
        handle = path.open("ab")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON whole or not at all, indented, Chinese left readable."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def sha256(*paths: str | Path) -> str:
    """The SHA-256 of the files' bytes, one after another, as hex."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
