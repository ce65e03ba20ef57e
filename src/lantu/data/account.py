"""The account of a build: what became of every file and picture, counted by reason, with the names of the files.

``index.json`` keeps it under "account": "source" covers what was found on disk, and "pictures" what became of each
picture when it was read. Both are lists of {"kind", "reason", "count", "files"}.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TAKEN, CHANGED, UNUSED, LEFT_OUT = "taken", "changed", "not used", "left out"
KINDS = (TAKEN, CHANGED, UNUSED, LEFT_OUT)
NAMED = 3  # files that a line names

Groups = list[dict[str, Any]]


def printable(text: str) -> str:
    """A text that can be written as UTF-8: names of files, and JSON, may contain surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def on_a_line(text: str) -> str:
    """A text with its line breaks and other control characters escaped."""
    return "".join(one if one >= " " and one != "\x7f" else repr(one)[1:-1] for one in text)


@dataclass(frozen=True)
class Note:
    """What happened to a file, a row of a table or a column, and why.

    Attributes:
        file: its name within the source; "" if it has none.
        reason: the same words for all files of a kind, so that they can be counted.
        kind: "taken", "changed" (taken with changes), "not used" (something beside pictures) or "left out".
        times: how many it stands for.
    """

    file: str
    reason: str
    kind: str = LEFT_OUT
    times: int = 1

    def __post_init__(self):
        object.__setattr__(self, "file", printable(self.file))
        object.__setattr__(self, "reason", printable(self.reason))

    def __str__(self) -> str:
        return f"{self.file} ({self.reason})"


def grouped(notes: Iterable[Note]) -> Groups:
    """Notes by kind and reason: the kinds in the order of ``KINDS``, the most frequent reason first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for note in notes:
        group = found.setdefault((note.kind, note.reason), {"kind": note.kind, "reason": note.reason, "count": 0})
        group["count"] += note.times
        group.setdefault("files", set()).update({note.file} - {""})
    ordered = sorted(found.values(), key=lambda one: (KINDS.index(one["kind"]), -one["count"], one["reason"]))
    return [{**group, "files": sorted(group["files"])} for group in ordered]


def account_of(index: Mapping[str, Any], named: int | None = None) -> Groups:
    """The account in an ``index.json``; for data that lantu 0.1 built, what it skipped.

    Args:
        named: names kept of each group; all if not given.
    """
    kept = index.get("account")
    if kept is None:
        groups = grouped(Note(one["file"], one["reason"]) for one in index.get("skipped") or ())
    else:
        groups = [*kept["source"], *kept["pictures"]]
        groups.sort(key=lambda one: (KINDS.index(one["kind"]), -one["count"], one["reason"]))
    return [{**group, "files": group["files"][:named]} for group in groups]


def lines(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    """The account for a person: a line for each reason, with a few names."""
    texts = []
    for group in groups:
        names = f": {', '.join(map(on_a_line, group['files'][:NAMED]))}" if group["files"] else ""
        more = len(group["files"]) - NAMED
        rest = f" and {more:,} more" if more > 0 else ""
        texts.append(f"{group['kind']:8}  {group['count']:>7,}  {group['reason']}{names}{rest}")
    return texts
