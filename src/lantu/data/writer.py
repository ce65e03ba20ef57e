"""Writes a data folder tar by tar on all cores; a killed build continues where it stopped.

``index.json`` is written twice: first without splits, to record the settings of the tars, and at the very end.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lantu import __version__
from lantu.data.account import LEFT_OUT, Groups, Note, grouped
from lantu.data.pool import run_all
from lantu.data.shards import (
    INDEX,
    index_shard,
    read_index,
    save_split,
    shard_path,
    split_path,
    write_index,
    write_shard,
)
from lantu.errors import DataError
from lantu.files import HALF_WRITTEN, write_json, writing
from lantu.types import Sample

Progress = Callable[[int, int], None]
Picture = tuple[int, Sample, np.ndarray]
EMPTY = {"source": [], "pictures": []}


class Source(Protocol):
    """The pictures of one tar."""

    def pictures(self, notes: list[Note]) -> Iterator[Picture]:
        """Number within the split, description, (H, W, 3) uint8; adds to ``notes`` what is changed or can't be read."""
        ...


@dataclass(frozen=True)
class Job:
    """One tar to write and index."""

    folder: Path
    split: str
    shard: int
    source: Source

    @property
    def path(self) -> Path:
        """The tar's path."""
        return shard_path(self.folder, self.split, self.shard)

    @property
    def notes(self) -> Path:
        """What became of its pictures: kept beside the tar until the build ends."""
        return self.path.with_suffix(".notes")


def write_data(
    folder: Path,
    header: Mapping[str, Any],
    jobs: Sequence[Job],
    total: int,
    workers: int | None = None,
    progress: Progress | None = None,
    notes: Sequence[Note] = (),
) -> Path:
    """Write the tars that are missing, then the indices.

    Args:
        folder: of the data.
        header: the index without splits and account; its ``digest`` decides whether existing tars can stay.
        jobs: every tar, in order.
        total: pictures in all.
        workers: processes; one for each core when None.
        progress: called with (pictures done, pictures in all).
        notes: the source's own account.

    Returns:
        ``folder``.

    Raises:
        DataError: the folder contains other files, or no picture for training could be read.
        DiskError: it can't be written.
    """
    index = _begin(folder, header)
    source = grouped(notes)
    finished, account = bool(index["splits"]), index.get("account", EMPTY)
    if finished and all(job.path.exists() for job in jobs):
        if source != account["source"]:
            _end(folder, index, source, account["pictures"])
        return folder
    places: dict[tuple[str, int], np.ndarray] = {}
    unread: list[Note] = []
    _sweep(folder)
    try:
        for split, shard, rows, found in run_all(_write, jobs, workers):
            places[split, shard] = rows
            unread += found
            if progress:
                lost = sum(note.kind == LEFT_OUT for note in unread)
                progress(sum(map(len, places.values())) + lost, total)
    finally:
        _sweep(folder)
    splits: dict[str, list[np.ndarray]] = {job.split: [] for job in jobs}
    for split, shard in sorted(places):
        splits[split].append(places[split, shard])
    counts = {split: {"count": save_split(folder, split, rows), "shards": len(rows)} for split, rows in splits.items()}
    try:
        _check_training(counts, [note for note in [*unread, *notes] if note.kind == LEFT_OUT])
    except DataError:
        if not finished:
            _clear(folder, jobs)
        raise
    # The notes of existing tars are in the finished index.
    _end(folder, index | {"splits": counts}, source, account["pictures"] if finished else grouped(unread))
    for job in jobs:
        job.notes.unlink(missing_ok=True)
    return folder


def _end(folder: Path, index: Mapping[str, Any], source: Groups, pictures: Groups) -> None:
    """Write the index of a finished build."""
    skipped = [
        {"file": file, "reason": group["reason"]}
        for group in [*source, *pictures]
        if group["kind"] == LEFT_OUT
        for file in group["files"]
    ]
    skipped.sort(key=lambda one: (one["file"], one["reason"]))
    write_index(folder, {**index, "skipped": skipped, "account": {"source": source, "pictures": pictures}})


def _check_training(counts: Mapping[str, Mapping[str, int]], left_out: Sequence[Note]) -> None:
    """Make sure that there are pictures to train on.

    Raises:
        DataError: there are none.
    """
    if counts.get("train", {}).get("count"):
        return
    kept = sum(split["count"] for split in counts.values())
    if left_out:
        raise DataError("no picture for training", f"look at the first: {left_out[0]}")
    if kept:
        raise DataError(f"no picture for training, all {kept:,} are of other splits", "ask for training pictures, too")
    raise DataError("no picture for training", "ask for one at least")


def _begin(folder: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    """The index of what is in the folder already, otherwise a new one without splits.

    Raises:
        DataError: the folder contains other files.
    """
    if (folder / INDEX).exists():
        index = read_index(folder)
        if index["digest"] == header["digest"]:
            if index.get("gallery") != header.get("gallery"):
                index["gallery"] = header["gallery"]
                write_index(folder, index)
            return index
        theirs, ours = index["settings"], json.loads(json.dumps(header["settings"]))
        names = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
        other = ", ".join(names) or "other drawings or pictures"
        raise DataError(f"{folder} has data of other settings ({other})", "delete it, or build into another folder")
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DataError(f"{folder} has other files in it", "build into an empty folder")
    index = {"format": 1, "lantu": __version__, **header, "splits": {}, "skipped": [], "account": EMPTY}
    write_index(folder, index)
    return index


def _clear(folder: Path, jobs: Sequence[Job]) -> None:
    """Remove a build that came to nothing, so that the same command tries anew."""
    written = [each for job in jobs for each in (job.path, job.notes, split_path(folder, job.split))]
    with writing(folder):
        for path in (folder / INDEX, *written):
            path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what killed workers left half written."""
    with writing(folder):
        for path in folder.glob(".*.tar"):
            if HALF_WRITTEN.fullmatch(path.name):
                path.unlink()


def _write(job: Job) -> tuple[str, int, np.ndarray, list[Note]]:
    """Write a tar unless it exists; runs in a worker."""
    if not job.path.exists():
        write_shard(job.path, _noted(job))
    kept_notes = json.loads(job.notes.read_text(encoding="utf-8")) if job.notes.exists() else []
    return job.split, job.shard, index_shard(job.path, job.shard), [Note(*one) for one in kept_notes]


def _noted(job: Job) -> Iterator[Picture]:
    """The job's pictures; the notes are written after the last, before the tar gets its name."""
    notes: list[Note] = []
    yield from job.source.pictures(notes)
    if notes:
        write_json(job.notes, [(one.file, one.reason, one.kind) for one in notes])
