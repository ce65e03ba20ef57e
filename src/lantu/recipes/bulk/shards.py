"""WebDataset tars that grow, so that a killed run goes on after the last whole group of pictures.

While a shard is made it is ``00007.part``, to which groups are appended; when it is whole it becomes ``00007.tar``. The
bytes of a shard depend on its pictures alone, not on when it was made or how often that was interrupted.
"""

import contextlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from lantu.files import WRITTEN, locked, writing

BLOCK = 512  # bytes, of a tar
END = bytes(2 * BLOCK)
Member = tuple[str, bytes]  # name, content


class Shard:
    """A tar of groups of files. Only one process adds to it at a time; others wait.

    Args:
        path: of the tar when it is whole.
    """

    def __init__(self, path: Path):
        self.path, self.part = path, path.with_suffix(".part")

    @contextlib.contextmanager
    def filling(self, groups: Sequence[Sequence[str]]) -> "Iterator[Filling]":
        """Open it to add the groups that are missing; at the end it is whole, unless that failed.

        Args:
            groups: the names of the files of each group, in order.

        Raises:
            DiskError: it can't be written.
        """
        if self.path.exists():
            yield Filling(None, len(groups))
            return
        with locked(self.part):
            # Another process may have made it while this one waited.
            if self.path.exists():
                self.part.unlink(missing_ok=True)
                yield Filling(None, len(groups))
                return
            with writing(self.part), self.part.open("r+b") as file:
                done, end = whole_groups(file, groups)
                file.truncate(end)
                file.seek(end)
                yield Filling(file, done)
                file.write(END)
                _flush(file)
            with writing(self.path):
                os.replace(self.part, self.path)
            WRITTEN.append(self.path)


class Filling:
    """A shard that is open.

    Attributes:
        done: how many of its groups are in it.
    """

    def __init__(self, file: BinaryIO | None, done: int):
        self.file, self.done = file, done

    def add(self, members: Sequence[Member]) -> None:
        """Append a group of files."""
        assert self.file is not None
        self.file.write(b"".join(map(_in_blocks, members)))
        _flush(self.file)
        self.done += 1


def whole_groups(file: BinaryIO, groups: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many of the groups begin a file without a gap, and where they end, in bytes."""
    size, place, end = file.seek(0, os.SEEK_END), 0, 0
    for number, names in enumerate(groups):
        for name in names:
            file.seek(place)
            try:
                member = tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "strict")
            except (tarfile.HeaderError, ValueError):
                return number, end
            place += BLOCK + _padded(member.size)
            if member.name != name or place > size:
                return number, end
        end = place
    return len(groups), end


def _in_blocks(member: Member) -> bytes:
    """A file as a tar has it, without owner and time."""
    name, content = member
    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content.ljust(_padded(len(content)), b"\0")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _flush(file: BinaryIO) -> None:
    """Hand all to the disk, so that a machine that stops loses nothing that was reported as done."""
    file.flush()
    os.fsync(file.fileno())
