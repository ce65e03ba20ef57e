"""WebDataset tars: files with the same stem form one sample."""

import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lantu.data.account import LEFT_OUT, UNUSED, Note, printable
from lantu.data.columns import Spoken, merged
from lantu.data.contents import OTHERS, PICTURES, Entry, InFile
from lantu.data.sidecars import KEYS, SIDECARS, captions_from, unused_keys

ARCHIVES = {".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar"}  # that are not read
TWICE = "another picture of the same sample (WebDataset: files of one stem, up to its first dot, are one sample)"


def in_tar(path: Path, name: str) -> Iterator[Entry | Note]:
    """The pictures of a tar with their captions, and notes on its other files.

    Args:
        name: of the tar within the source.
    """
    pictures: dict[str, InFile] = {}
    captions: dict[str, list[Spoken]] = {}
    sidecars: dict[str, list[str]] = {}
    bad: dict[str, Note] = {}
    unused: Counter[str] = Counter()
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                inside = PurePosixPath(member.name)
                whole = printable(f"{name}/{inside}")
                if not member.isfile():
                    if not member.isdir():
                        yield Note(whole, "links and devices in tars", LEFT_OUT)
                    continue
                stem, _, suffix = inside.name.partition(".")
                key = printable(f"{name}/{inside.with_name(stem or inside.name).as_posix()}")
                suffix = "." + suffix.lower()
                if suffix in PICTURES:
                    if key in pictures:
                        yield Note(whole, TWICE, LEFT_OUT)
                    else:
                        pictures[key] = InFile(path, member.offset_data, member.size)
                elif suffix in SIDECARS:
                    sidecars.setdefault(key, []).append(whole)
                    try:
                        file = tar.extractfile(member)
                        content = file.read() if file else b""
                        captions.setdefault(key, []).extend(captions_from(content, suffix))
                        unused.update(unused_keys(content) if suffix == ".json" else ())
                    except (ValueError, TypeError) as problem:
                        bad[key] = Note(whole, f"its captions can't be read: {problem}")
                else:
                    yield _other(whole, suffix)
    except (OSError, tarfile.TarError) as problem:
        yield Note(name, f"{problem}; what comes before is kept")
    for key, content in pictures.items():
        yield bad.get(key) or Entry(key, content, merged(captions.get(key, ())))
    for key, times in unused.items():
        yield Note(key, KEYS, UNUSED, times)
    for key in sidecars.keys() - pictures.keys():
        for whole in sidecars[key]:
            yield Note(whole, "captions without a picture", UNUSED)


def _other(whole: str, suffix: str) -> Note:
    last = "." + suffix.rpartition(".")[2]
    if last in OTHERS:
        return Note(whole, f"no decoder for {last} here: convert it to PNG, JPEG or WebP")
    if last in PICTURES:
        return Note(whole, "pictures in tars with a dot before their ending, which WebDataset reads as another kind")
    if suffix == ".cls":
        return Note(whole, "class labels", UNUSED)
    return Note(whole, f"files in tars that are neither pictures nor captions ({last})", UNUSED)
