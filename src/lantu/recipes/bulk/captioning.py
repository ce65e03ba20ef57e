"""``lantu data caption``: captions of any number of pictures, in a table that ``lantu data build folder`` reads.

Each caption is the one of ``lantu caption FILE --fit``: on native kernels exactly, else up to rounding.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lantu.data.account import UNUSED, Note, grouped, printable
from lantu.data.contents import Entry, InFile
from lantu.data.folder import find_entries
from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import DataError
from lantu.files import expand
from lantu.recipes.bulk import captioner
from lantu.recipes.bulk.caption_table import CaptionTable
from lantu.recipes.bulk.captioner import Captioner, Order, Row, Wanted, as_json, captioning, column, order_as_json
from lantu.recipes.bulk.cluster import Cluster

if TYPE_CHECKING:
    from lantu.pipeline import Model

TOGETHER = 16  # pictures that are captioned together, and written before the next
GROUPS = 4  # that a worker captions before it gives them back
HAVE = "pictures that have captions (--again captions them, too)"
SILENT = "captions in {language} that the model left empty"
Group = Sequence[Wanted]


class Pool(Protocol):
    """Where pictures are captioned: here, or on a cluster."""

    def __call__(self, order: Order, groups: Iterator[Group]) -> Iterator[list[Row]]:
        """The rows of all pictures, in order."""
        ...


class CaptionRun:
    """A model's captions of pictures, as a table; an earlier run is continued.

    Args:
        model: any that captions.
        source: a folder of pictures, a table, tars or a picture, or a folder that ``lantu data build`` wrote.
        out: the table, in JSON lines.
        languages: of the captions.
        again: caption pictures, too, that have captions in these languages.
        temperature: 0 for the best of several captions; above 0, one is sampled.
        seed: of the samples; None for that of the earlier run, else for a random one.
        together: pictures that are captioned together.
        device: for workers that open the model themselves.

    Raises:
        DataError: there are no pictures, or all have captions.
        DiskError: ``out`` holds something else.
    """

    def __init__(
        self,
        model: "Model",
        source: str | Path,
        out: str | Path,
        languages: Sequence[str] = ("en",),
        again: bool = False,
        temperature: float = 0.0,
        seed: int | None = None,
        together: int = TOGETHER,
        device: str = "auto",
    ):
        self.model, self.together, self.out = model, together, expand(out)
        # As ``lantu data build`` will see them.
        self.source, place = expand(source).resolve(), self.out.resolve()
        self.table = CaptionTable(place)
        written_by = f"{printable(model.name)} {model.digest}"
        self.order = Order((model.folder.path.absolute(), model.digest), written_by, device, temperature)
        self.seed = choose_seed(self.table.seed if seed is None else seed)
        found = find_entries(self.source, place, suspicious=False)
        self.notes = found.left_out
        self.wanted: list[Wanted] = []
        for entry in found.entries:
            if lacking := tuple(name for name in languages if again or name not in entry.captions):
                name = name_of(entry, place.parent)
                self.wanted.append(Wanted(name, entry.content, lacking, derive_seed(self.seed, len(self.wanted))))
        self.have = len(found.entries) - len(self.wanted)
        if not self.wanted:
            raise DataError(f"all pictures in {source} have captions", "caption them again: --again")
        self.table.check(self.wanted, self.order)

    def write(
        self, pool: Pool | None = None, advance: Callable[[int, int], None] = lambda d, t: None
    ) -> dict[str, Any]:
        """Write the captions that are missing.

        Args:
            pool: None for this process.
            advance: called with (pictures done, in all).

        Returns:
            as JSON: file, pictures, captioned (now), captions by language, model, seed if there is one, and the account
            of what has none (``lantu.data.account``).
        """
        with self.table.filling(self.wanted, self.order, self.together) as filling:
            before = filling.done
            advance(before, len(self.wanted))
            for rows in (pool or self.here)(self.order, self.groups(before)):
                filling.add(rows)
                advance(filling.done, len(self.wanted))
        captions, notes = Counter[str](), list(self.notes)
        for wanted, row in zip(self.wanted, self.table.rows(), strict=True):
            if reason := row.get(captioner.LEFT_OUT):
                notes.append(Note(wanted.name, reason))
                continue
            for language in wanted.languages:
                captions[language] += bool(row[column(language)])
                if not row[column(language)]:
                    notes.append(Note(wanted.name, SILENT.format(language=language)))
        if self.have:
            notes.append(Note("", HAVE, UNUSED, self.have))
        return {
            "file": str(self.out),
            "pictures": len(self.wanted),
            "captioned": len(self.wanted) - before,
            "captions": dict(captions),
            "model": self.model.name,
            **({"seed": self.seed} if self.order.temperature else {}),
            "account": grouped(notes),
        }

    def groups(self, start: int) -> Iterator[Group]:
        """The pictures from a number on, as they are captioned together."""
        for first in range(start, len(self.wanted), self.together):
            yield self.wanted[first : first + self.together]

    def here(self, order: Order, groups: Iterator[Group]) -> Iterator[list[Row]]:
        """A ``Pool`` of this process alone."""
        return map(Captioner(order, self.model).rows, groups)


class OnRay:
    """A ``Pool`` of workers on a Ray cluster."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster

    def __call__(self, order: Order, groups: Iterator[Group]) -> Iterator[list[Row]]:
        jobs = ([[as_json(one) for one in group] for group in some] for some in batched(groups, GROUPS))
        for _, rows in self.cluster.each(captioning, order_as_json(order), jobs, order.device, ordered=True):
            yield json.loads(rows)


def batched(groups: Iterator[Group], count: int) -> Iterator[list[Group]]:
    """So many groups at a time."""
    while some := list(itertools.islice(groups, count)):
        yield some


def name_of(entry: Entry, folder: Path) -> str:
    """How a table in a folder names a picture: a file by its path, what lies in a tar or a table by its key."""
    content = entry.content
    if not isinstance(content, InFile) or content.length >= 0:
        return entry.key
    path = content.path
    return printable(path.relative_to(folder).as_posix() if path.is_relative_to(folder) else os.fspath(path))
