"""Which of a user's own pictures are kept for validation: enough to score by, and none that training has a copy of."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lantu.data.contents import Entry, InFile
from lantu.data.shards import read_index
from lantu.errors import DataError

SHARE = 0.05  # of the pictures
FEWEST, MOST_SHARE = 8, 0.2  # pictures below which a score says next to nothing, and the share that few may cost
EMPTY = hashlib.sha256().hexdigest()  # of a file without content


def former_settings(folder: Path) -> Mapping[str, Any] | None:
    """The settings of the data in a folder; None where there is none, or it can't be read."""
    with contextlib.suppress(DataError):
        settings = read_index(folder)["settings"]
        return settings if isinstance(settings, dict) else None
    return None


def usual_share(count: int) -> float:
    """The share of ``count`` pictures that is kept: ``SHARE``; of few more, for ``FEWEST`` pictures."""
    return max(SHARE, min(FEWEST / max(count, 1), MOST_SHARE))


def digest_of(entry: Entry, contents: Mapping[str, str]) -> str:
    """The digest of a picture that is a whole file; "" for others, and for an empty file."""
    if not isinstance(entry.content, InFile) or entry.content.length >= 0:
        return ""
    digest = contents[str(entry.content.path)]
    return "" if digest == EMPTY else digest


def split(
    entries: Sequence[Entry], share: float, seed: int, contents: Mapping[str, str] | None
) -> dict[str, list[Entry]]:
    """Pictures for training and for validation, each in the order of the source; a single picture is for training.

    Args:
        share: for validation, one picture at least; 0 for none.
        contents: file → digest; copies of a picture then go to one split, unless there is hardly anything but copies.
            None leaves each picture to its own name.
    """
    groups: dict[str, list[str]] = {}
    ranked = sorted(entries, key=lambda entry: _rank(entry, seed))
    for entry in ranked:
        digest = digest_of(entry, contents) if contents is not None else ""
        groups.setdefault(digest or f"key:{entry.key}", []).append(entry.key)
    count = min(max(1, round(share * len(entries))), len(entries) - 1) if share else 0
    kept: set[str] = set()
    for keys in groups.values():
        if len(kept) + len(keys) <= count:
            kept |= set(keys)
    if not kept:  # each has more copies than the share has pictures
        kept = {entry.key for entry in ranked[:count]}
    return {
        "train": [entry for entry in entries if entry.key not in kept],
        "val": [entry for entry in entries if entry.key in kept],
    }


def _rank(entry: Entry, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{entry.key}".encode()).hexdigest()
