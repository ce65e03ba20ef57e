"""Writing that is never half done, and the places where things are kept."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import DiskError

HINTS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that you may write to",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "make the folder first",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EEXIST: "a file is where a folder should be; write elsewhere",
}
READING_MENDS = {
    **{number: HINTS[number] for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG)},
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOMEM: "free some memory",
}
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{16}(\.\w+)?")  # the names of temporary files
MADE: deque[Path] = deque(maxlen=1000)  # what this process has written, the newest last


def cache_dir() -> Path:
    """The user's cache: ``$LANTU_CACHE``, else ``$XDG_CACHE_HOME/lantu``, else ``~/.cache/lantu``.

    Raises:
        DiskError: none of them is set, and the user has no home.
    """
    if override := os.environ.get("LANTU_CACHE"):
        return expand(override)
    if place := os.environ.get("XDG_CACHE_HOME"):
        return expand(place) / "lantu"
    try:
        return Path.home() / ".cache" / "lantu"
    except RuntimeError as problem:
        raise DiskError("there is no home directory to keep a cache in", "set LANTU_CACHE to a folder") from problem


def expand(path: str | Path) -> Path:
    """A path with ``~`` and ``~user`` spelled out; as it is where there is no such user, or no home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write ``path`` into a one-line error with its hint.

    Raises:
        DiskError: the disk is full, the place may not be written to, …
    """
    try:
        yield
    except OSError as problem:
        raise refusal(problem, path) from problem


def refusal(problem: OSError, path: Path | None = None) -> DiskError:
    """What an operating system refused, as a one-line error with its hint.

    Args:
        path: that was being written; None where nothing was.
    """
    reason = problem.strerror or str(problem) or type(problem).__name__
    if path is not None:
        return DiskError(f"can't write {path} ({reason})", HINTS.get(problem.errno or 0, "write elsewhere"))
    name = problem.filename if isinstance(problem.filename, str | bytes | os.PathLike) else None
    what = f"can't use {os.fsdecode(name)} ({reason})" if name else f"the system refuses ({reason})"
    return DiskError(what, READING_MENDS.get(problem.errno or 0, "check the path, and that you may use it"))


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside the file ``path`` and rename it there at the end; on any failure remove it.

    A kill leaves the old file whole. A link is followed; into a device or a pipe the file is copied. A folder is never
    replaced: see ``replacing_folder``.

    Raises:
        DiskError: it can't be written, or is a folder.
    """
    path = Path(path)
    with writing(path):
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise DiskError(f"{path} is a folder", "name a file")
        if path.exists() and not path.is_file():
            with _copied_into(path) as temporary:
                yield temporary
            return
        with _beside(place) as temporary:
            yield temporary
            os.replace(temporary, place)
        MADE.append(path)


@dataclass(frozen=True)
class Sort:
    """A sort of folder that lantu writes, and how one is told from any other folder.

    Attributes:
        name: what it is, with its article.
        marks: at least one of these files lies in each folder of the sort.
        files: every file that may lie in one: paths with slashes, in which * and ? stand for parts of a name.
        proof: an entry of the first mark, a JSON file, that no other program writes, and its value; (name, None) for
            any value.
    """

    name: str
    marks: tuple[str, ...]
    files: tuple[str, ...]
    proof: tuple[str, Any] | None = None

    def within(self, folder: str) -> tuple[str, ...]:
        """The files of such a folder, as paths from the folder around it."""
        return tuple(f"{folder}/{name}" for name in self.files)

    def foreign(self, folder: Path) -> str | None:
        """Why ``folder`` is not of this sort alone: the first thing in it that lantu did not write; None if it is.

        Links are foreign, wherever they lead. Raises OSError where the folder can't be read.
        """
        for place, folders, names in os.walk(folder, onerror=_raise):
            inner = Path(place)
            links = [name for name in folders if (inner / name).is_symlink()]
            for name in sorted([*links, *names]):
                path = (inner / name).relative_to(folder)
                if name in links or (inner / name).is_symlink() or not self.has(path):
                    return path.as_posix()
        if not any(folder.iterdir()):
            return None
        if not any((folder / mark).is_file() for mark in self.marks):
            return f"no {self.marks[0]}"
        return None if self.proved(folder) else f"{self.marks[0]} is not lantu's"

    def proved(self, folder: Path) -> bool:
        if self.proof is None:
            return True
        name, value = self.proof
        try:
            told = json.loads((folder / self.marks[0]).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(told, dict) and name in told and value in (None, told[name])

    def has(self, path: Path) -> bool:
        """Whether a file at this relative path may lie in such a folder; what a kill left half written may, too."""
        if HALF_WRITTEN.fullmatch(path.name):
            return True
        return any(len(Path(one).parts) == len(path.parts) and path.match(one) for one in self.files)


# What ``lantu.weights.tensors`` writes, and transformers beside it.
WEIGHTS = Sort(
    "a folder of weights",
    ("config.json", "model.safetensors", "model.safetensors.index.json"),
    (
        *("config.json", "model.safetensors", "model-?????-of-?????.safetensors", "model.safetensors.index.json"),
        *("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    ),
)


@contextlib.contextmanager
def replacing_folder(path: str | Path, sort: Sort) -> Iterator[Path]:
    """Yield the path of a temporary folder beside ``path``, which the caller makes, and rename it there at the end.

    What is at ``path`` already is replaced only if it is empty or of this sort and nothing else lies in it. A link is
    followed. A kill leaves the old folder whole.

    Raises:
        DiskError: it can't be written, or there is something else at ``path``.
    """
    path = Path(path)
    with writing(path):
        check_folder(path, sort)
        place = Path(os.path.realpath(path))
        with _beside(place) as temporary:
            yield temporary
            check_folder(path, sort)  # the work may have taken hours
            _exchange(temporary, place)
        MADE.append(path)


def check_folder(path: Path, sort: Sort) -> None:
    """Refuse to replace a folder that may hold anything but lantu's own output of this sort.

    Raises:
        DiskError: it holds something else, is a file or a mount point, or the user stands in it.
    """
    with writing(path):
        place = Path(os.path.realpath(path))
        if not os.path.lexists(place):
            return
        if not place.is_dir():
            raise DiskError(f"{path} is a file", f"name a folder for {sort.name}")
        if place.is_mount() or _stands_in(place):
            where = "is where you are" if _stands_in(place) else "is a mount point"
            raise DiskError(f"{path} {where}, and would be replaced", "name a new folder in it")
        if foreign := sort.foreign(place):
            what = f"{path} holds other things than {sort.name} ({foreign})"
            raise DiskError(what, "choose another folder, or move them away")


def discard(path: Path, sort: Sort) -> bool:
    """Remove a folder if it is of this sort and nothing else lies in it; returns whether it did."""
    with writing(path):
        if path.is_symlink() or sort.foreign(path):
            return False
        shutil.rmtree(path)
        return True


def _raise(problem: OSError) -> None:
    raise problem


def _stands_in(place: Path) -> bool:
    try:
        here = Path(os.path.realpath(os.getcwd()))
    except FileNotFoundError:  # it has been removed
        return False
    return place == here or place in here.parents


@contextlib.contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A temporary name beside ``place``; what has it at the end is removed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: image libraries choose the format by it. The name is chosen before a file has it, so
    # that an interrupt at any moment leaves none behind.
    temporary = place.parent / f".{place.stem}.{secrets.token_hex(8)}{place.suffix}"
    try:
        temporary.touch(exist_ok=False)  # a place that can't be written to is told before the work
        temporary.unlink()
        yield temporary
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _copied_into(path: Path) -> Iterator[Path]:
    """A temporary file whose content goes into a device or a pipe: no rename may take the place of these."""
    import tempfile  # seldom needed, and not free where every call starts a process

    with tempfile.TemporaryDirectory() as scratch:
        temporary = Path(scratch) / path.name
        yield temporary
        with temporary.open("rb") as made, path.open("wb") as out:
            shutil.copyfileobj(made, out)


def _exchange(new: Path, place: Path) -> None:
    """Rename a folder to ``place``, and remove what was there; a failure in between puts that back."""
    if not new.is_dir() or not place.is_dir() or not any(place.iterdir()):
        os.replace(new, place)
        return
    aside = place.parent / f".{place.name}.{secrets.token_hex(8)}"
    try:
        os.rename(place, aside)
        os.replace(new, place)
    finally:
        if aside.is_dir() and not os.path.lexists(place):
            os.rename(aside, place)
        else:
            shutil.rmtree(aside, ignore_errors=True)


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
