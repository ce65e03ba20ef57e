"""Atomic writing of files and folders, and the places where lantu keeps things."""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import DiskError

HINTS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EACCES: "choose a place where you have write permission",
    errno.EPERM: "choose a place where you have write permission",
    errno.EROFS: "choose a place where you have write permission",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "create the folder first",
    errno.EISDIR: "give a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EEXIST: "a file is where a folder should be; write elsewhere",
}
READING_HINTS = {
    **{number: HINTS[number] for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG)},
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOMEM: "free some memory",
}
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{16}(\.\w+)?")  # the names of temporary files
WRITTEN: deque[Path] = deque(maxlen=1000)  # paths that this process has written, the newest last


def cache_dir() -> Path:
    """The user's cache: ``$LANTU_CACHE``, else ``$XDG_CACHE_HOME/lantu``, else ``~/.cache/lantu``.

    Raises:
        DiskError: neither variable is set, and the user has no home directory.
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
    """A path with ``~`` and ``~user`` expanded; unchanged if there is no such user or home directory."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while ``path`` is written into a one-line error with a hint.

    Raises:
        DiskError: the disk is full, permission is denied, …
    """
    try:
        yield
    except OSError as problem:
        raise refusal(problem, path) from problem


def refusal(problem: OSError, path: Path | None = None) -> DiskError:
    """An OSError as a one-line error with a hint.

    Args:
        path: the file that was being written, if any.
    """
    reason = problem.strerror or str(problem) or type(problem).__name__
    if path is not None:
        return DiskError(f"can't write {path} ({reason})", HINTS.get(problem.errno or 0, "write elsewhere"))
    name = problem.filename if isinstance(problem.filename, str | bytes | os.PathLike) else None
    what = f"can't use {os.fsdecode(name)} ({reason})" if name else f"the system refused ({reason})"
    return DiskError(what, READING_HINTS.get(problem.errno or 0, "check the path and its permissions"))


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside the file ``path`` and rename it to ``path`` at the end; remove it on failure.

    If the process is killed, the old file stays intact. Links are followed; if ``path`` is a device or a pipe, the file
    is copied into it. Folders are never replaced, see ``replacing_folder``.

    Raises:
        DiskError: it can't be written, or is a folder.
    """
    path = Path(path)
    with writing(path):
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise DiskError(f"{path} is a folder", "give a file")
        if path.exists() and not path.is_file():
            with _copied_into(path) as temporary:
                yield temporary
            return
        with _beside(place) as temporary:
            yield temporary
            os.replace(temporary, place)
        WRITTEN.append(path)


def check_writable(path: str | Path) -> None:
    """Refuse a file that ``replacing`` could not write, before long work. Writes nothing, so it may miss a reason.

    Raises:
        DiskError: it is a folder, or lies where this user can't write.
    """
    path = Path(path)
    with writing(path):
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():  # a device or a pipe
            there = path
        else:
            there = next(parent for parent in place.parents if os.path.lexists(parent))
            if not there.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that lantu writes, and how to recognise it.

    Attributes:
        name: what to call such a folder, with its article: "a checkpoint".
        marks: each folder of this kind has at least one of these files.
        files: every file that it may have: relative paths with slashes and the wildcards * and ?.
        proof: (key, value) in the first of ``marks``, a JSON file, that no other program writes; a value of None stands
            for any value.
    """

    name: str
    marks: tuple[str, ...]
    files: tuple[str, ...]
    proof: tuple[str, Any] | None = None

    def within(self, folder: str) -> tuple[str, ...]:
        """The files of such a folder, relative to its parent."""
        return tuple(f"{folder}/{name}" for name in self.files)

    def foreign(self, folder: Path) -> str | None:
        """The first thing in ``folder`` that doesn't belong to this kind; None if everything does.

        Links never belong to it. Raises OSError if the folder can't be read.
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
        """Whether the first mark has the entry of ``proof``."""
        if self.proof is None:
            return True
        name, value = self.proof
        try:
            content = json.loads((folder / self.marks[0]).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and name in content and value in (None, content[name])

    def has(self, path: Path) -> bool:
        """Whether such a folder may have a file at this relative path; temporary files of a killed process count."""
        if HALF_WRITTEN.fullmatch(path.name):
            return True
        return any(len(Path(one).parts) == len(path.parts) and path.match(one) for one in self.files)


# The papers of a pretrained model, kept beside what is made of it: its licence, and its card as SOURCE.md.
PAPERS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "SOURCE.md")
# What ``lantu.weights.tensors`` writes, and transformers beside it.
WEIGHTS = FolderKind(
    "a folder of weights",
    ("config.json", "model.safetensors", "model.safetensors.index.json"),
    (
        *("config.json", "model.safetensors", "model-?????-of-?????.safetensors", "model.safetensors.index.json"),
        *("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", *PAPERS),
    ),
)


@contextlib.contextmanager
def replacing_folder(path: str | Path, kind: FolderKind) -> Iterator[Path]:
    """Yield a path beside ``path``, where the caller creates a folder that is renamed to ``path`` at the end.

    An existing folder is only replaced if it is empty or holds nothing but files of this kind. Links are followed. If
    the process is killed, the old folder stays intact.

    Raises:
        DiskError: it can't be written, or ``path`` holds something else.
    """
    path = Path(path)
    with writing(path):
        check_folder(path, kind)
        place = Path(os.path.realpath(path))
        with _beside(place) as temporary:
            yield temporary
            check_folder(path, kind)  # the work may have taken hours
            _exchange(temporary, place)
        WRITTEN.append(path)


def check_folder(path: Path, kind: FolderKind) -> None:
    """Refuse to replace a folder that holds anything but lantu's own output of this kind.

    Raises:
        DiskError: it holds something else, is a file or a mount point, or contains the working directory.
    """
    with writing(path):
        place = Path(os.path.realpath(path))
        if not os.path.lexists(place):
            return
        if not place.is_dir():
            raise DiskError(f"{path} is a file", f"give a folder for {kind.name}")
        if place.is_mount() or _stands_in(place):
            where = "is your working directory" if _stands_in(place) else "is a mount point"
            raise DiskError(f"{path} {where} and can't be replaced", "give a new folder in it")
        if foreign := kind.foreign(place):
            what = f"{path} holds other things than {kind.name} ({foreign})"
            raise DiskError(what, "choose another folder, or move them away")


def check_apart(out: str | Path, sources: Mapping[str, Path], replaced: bool = True) -> None:
    """Refuse to write over a folder that is only to be read, or into it.

    Args:
        sources: what each folder is, for the message → the folder.
        replaced: ``out`` is replaced as a whole, and must not hold one of them either.

    Raises:
        DiskError: ``out`` is one of them, lies in one, or holds one.
    """
    place = Path(os.path.realpath(out))
    for what, folder in sources.items():
        source = Path(os.path.realpath(folder))
        if source in place.parents:
            raise DiskError(f"{out} lies in the {what} that it is made of ({folder})", "choose another place")
        if place == source or (replaced and place in source.parents):
            raise DiskError(f"{out} would overwrite the {what} that it is made of ({folder})", "choose another place")


def discard_half_written(folder: Path) -> None:
    """Remove what killed processes left in a folder, at any depth; no other process may be writing there."""
    for path in folder.rglob(".*"):
        if HALF_WRITTEN.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def discard(path: Path, kind: FolderKind) -> bool:
    """Remove a folder that holds only files of this kind; returns whether it did."""
    with writing(path):
        if path.is_symlink() or kind.foreign(path):
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
    """A temporary path beside ``place``, removed at the end."""
    place.parent.mkdir(parents=True, exist_ok=True)
    # Image libraries choose the format by the suffix, so it stays last. The name is chosen before the file exists, so
    # that an interrupt leaves no file behind.
    temporary = place.parent / f".{place.stem}.{secrets.token_hex(8)}{place.suffix}"
    try:
        temporary.touch(exist_ok=False)  # fail before the work if the place isn't writable
        temporary.unlink()
        yield temporary
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _copied_into(path: Path) -> Iterator[Path]:
    """A temporary file whose content is copied into a device or a pipe, which must not be replaced by a rename."""
    import tempfile  # rarely needed, and slow to import

    with tempfile.TemporaryDirectory() as scratch:
        temporary = Path(scratch) / path.name
        yield temporary
        with temporary.open("rb") as made, path.open("wb") as out:
            shutil.copyfileobj(made, out)


def _exchange(new: Path, place: Path) -> None:
    """Rename a folder to ``place`` and remove the old one, which is restored if that fails."""
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
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` between processes; it is released if the process is killed.

    Args:
        wait: until no other process holds it; else refuse.

    Raises:
        DiskError: ``path`` can't be written, or another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    with writing(path):
        handle = path.open("ab")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as problem:
            what = f"another process works in {path.parent}"
            raise DiskError(what, "wait until it has ended, or choose another folder") from problem
        yield


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, indented, with Chinese unescaped."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def sha256(*paths: str | Path) -> str:
    """The SHA-256 of the concatenated files, as hex."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(1 << 18))  # used again, so that its pages stay in the cache
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(block):
                digest.update(block[:count])
    return digest.hexdigest()
