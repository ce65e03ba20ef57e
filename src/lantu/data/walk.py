"""Every file under a folder, also through links, and notes on what can't be reached."""

import json
import os
from pathlib import Path

from lantu.data.account import TAKEN, UNUSED, Note
from lantu.data.shards import INDEX, read_index
from lantu.errors import DataError
from lantu.images.heif import is_heif

# Folders that lantu writes, whose pictures are samples and drawings: a JSON file in each, and keys that it has.
MADE = (
    ("make.json", {"asked", "commands"}, "what lantu make keeps of a model"),
    ("model_index.json", {"_class_name"}, "models"),
    ("config.json", {"loop", "data"}, "training runs"),
    ("compare.json", {"asked", "commands"}, "what lantu compare keeps of models"),
)


def files_under(root: Path, out: Path | None = None) -> tuple[list[Path], list[Note]]:
    """Files in the order of their names, and notes on everything else.

    Links to folders are followed, each real folder once and under its own name if it has one here, so that loops end.
    Hidden folders are not entered, nor those that lantu has written: data, models and what they were made in.

    Args:
        root: a folder.
        out: a folder that is not entered.
    """
    files: list[Path] = []
    notes: list[Note] = []
    entered: set[tuple[int, int]] = set()
    links: list[Path] = []
    waiting = [root]
    while waiting or links:
        # Links last: a folder that is itself here is entered under its own name.
        linked = not waiting
        folder = links.pop(0) if linked else waiting.pop()
        name = _name(folder, root)
        try:
            known = folder.stat()
            if (known.st_dev, known.st_ino) in entered:
                notes.append(Note(name, "links to folders that are taken already", UNUSED))
                continue
            entered.add((known.st_dev, known.st_ino))
            if folder != root and (reason := _barred(folder, out)):
                notes.append(Note(name, reason, UNUSED))
                continue
            inside = sorted(os.scandir(folder), key=lambda one: one.name)
        except OSError as problem:
            if folder == root:
                raise DataError(f"{root} can't be read ({problem.strerror})", "check its permissions") from problem
            notes.append(Note(name, f"folders that can't be read ({problem.strerror})"))
            continue
        if linked:
            notes.append(Note(name, "folders reached through links", TAKEN))
        for one in inside:
            path, name = Path(one.path), _name(Path(one.path), root)
            kind = _kind(one)
            if kind == "folder" and one.name.startswith("."):
                notes.append(Note(name, "hidden folders", UNUSED))
            elif kind == "folder":
                (links if one.is_symlink() else waiting).append(path)
            elif one.name.startswith("."):
                notes.append(Note(name, "hidden files", UNUSED))
            elif kind == "file":
                files.append(path)
            else:
                notes.append(Note(name, "links to nothing" if one.is_symlink() else "neither files nor folders"))
    return sorted(files, key=lambda path: path.relative_to(root)), notes


def _barred(folder: Path, out: Path | None) -> str:
    """Why a folder is not entered; "" if it is."""
    if out is not None and folder.resolve() == out.resolve():
        return "the folder that is being built"
    if (folder / INDEX).is_file():
        try:
            read_index(folder)
            return "data that lantu has built"
        except DataError:
            return ""
    return next((what for name, keys, what in MADE if _has_keys(folder / name, keys)), "")


def _has_keys(file: Path, keys: set[str]) -> bool:
    """Whether a file is a JSON object with these keys."""
    try:
        value = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and keys <= value.keys()


def _kind(one: "os.DirEntry[str]") -> str:
    """The kind of an entry, or of a link's target; "" for anything but a file or a folder."""
    try:
        return "folder" if one.is_dir() else "file" if one.is_file() else ""
    except OSError:  # a link to itself
        return ""


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def format_of(path: Path) -> str:
    """The picture format by a file's first bytes, regardless of its name; "" if unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return ""
    magic = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF"}
    webp = "WebP" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""
    other = "HEIC" if is_heif(head) else webp
    return next((name for start, name in magic.items() if head.startswith(start)), other)
