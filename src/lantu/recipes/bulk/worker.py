"""What draws one shard of a file of prompts, here or on another machine."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.engine.seeds import derive_seed
from lantu.errors import DataError, LantuError
from lantu.images.metadata import describe, png_bytes
from lantu.kernels import usable_cores
from lantu.models.validation import parse_shape
from lantu.recipes.bulk.cluster import Do
from lantu.recipes.bulk.models import opened
from lantu.recipes.bulk.prompts import PromptFile, Row
from lantu.recipes.bulk.shards import Member, Shard
from lantu.types import Picture

if TYPE_CHECKING:
    from lantu.pipeline import Model

Size = tuple[int, int]


@dataclass(frozen=True)
class Job:
    """One shard.

    Attributes:
        shard: its number.
        first: the number of its first picture.
        pictures: how many it has.
        start: where the row of its first picture begins in the file, in bytes.
        number: of that row.
        skip: pictures of that row that are in shards before.
    """

    shard: int
    first: int
    pictures: int
    start: int
    number: int
    skip: int


@dataclass(frozen=True)
class Drawing:
    """One picture to draw: picture ``index`` of the run, drawing ``k`` of a row."""

    index: int
    row: Row
    k: int
    seed: int
    size: Size

    @property
    def names(self) -> tuple[str, str]:
        """Its files in the shard."""
        return f"{self.index:09d}.png", f"{self.index:09d}.json"

    def members(self, picture: Picture) -> list[Member]:
        """Its files, and what is in them."""
        record = describe(picture) | {"row": self.row.number, "drawing": self.k, "size": list(picture.image.size)}
        if picture.unknown_words:
            record["unknown_words"] = [entry.word for entry in picture.unknown_words]
        if self.row.data:
            record["data"] = dict(self.row.data)
        contents = (png_bytes(picture), json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
        return list(zip(self.names, contents, strict=True))


@dataclass(frozen=True)
class Order:
    """What every worker needs to know.

    Attributes:
        path: of the prompts.
        mark: of that file, see ``PromptFile.mark``.
        out: the folder.
        model: the model's folder, and its digest.
        count: drawings of a row that doesn't say.
        seed: of the run.
        size: of a row that doesn't say, in pixels.
        settings: all sampling parameters.
        together: pictures that are drafted together.
    """

    path: Path
    mark: tuple[int, int]
    out: Path
    model: tuple[Path, str]
    device: str
    backend: str
    count: int
    seed: int
    size: Size
    settings: dict[str, Any]
    together: int


class Worker:
    """Checks and draws shards; workers on other machines see the same files by the same paths.

    Raises:
        DataError: the prompts have changed since the run began.
        ModelError: the model is another here.
    """

    def __init__(self, order: Order, model: "Model | None" = None):
        self.order, self.file = order, PromptFile(order.path)
        if self.file.mark != order.mark:
            raise DataError(f"{order.path} has changed since the run began", "begin again, in another folder")
        if model is not None:
            self.model = model

    @cached_property
    def model(self) -> "Model":
        """Opened when it is first needed."""
        return opened(*self.order.model, self.order.device, self.order.backend)

    def check(self, job: Job) -> int:
        """Refuse what the model can't draw; returns how many pictures were looked at.

        Raises:
            DataError: names the row.
        """
        layout, params = self.model.parts.layout, self.model.folder.settings.change(**self.order.settings)
        for row, group in itertools.groupby(self.drawings(job), lambda drawing: drawing.row):
            drawing = next(group)
            try:
                layout.check_size(drawing.size)
                layout.draw(row.prompt, layout.grid_of(drawing.size), drawing.seed, params)
            except LantuError as problem:
                raise DataError(f"row {row.number + 1} of {self.file.path}: {problem.message}", problem.hint) from None
        return job.pictures

    def draw(self, job: Job, advance: Callable[[int], None] = lambda count: None) -> int:
        """Draw what a shard lacks; returns how many pictures that was.

        Other threads compress a group's PNGs while the next group is drawn.

        Args:
            advance: called with the number of pictures of each group that is written, and of those that were there.
        """
        groups = list(self.groups(self.drawings(job)))
        names = [[name for drawing in group for name in drawing.names] for group in groups]
        drawn, compressed = 0, None
        with ThreadPoolExecutor(usable_cores()) as pool, shard_of(self.order.out, job).filling(names) as filling:

            def write() -> None:
                nonlocal drawn
                if compressed is not None:
                    members = list(compressed)
                    filling.add([member for each in members for member in each])
                    drawn += len(members)
                    advance(len(members))

            if there := sum(map(len, groups[: filling.done])):
                advance(there)
            try:
                for group in groups[filling.done :]:
                    texts, seeds = [each.row.prompt for each in group], [each.seed for each in group]
                    options: dict[str, Any] = {"size": group[0].size, "batched": True, **self.order.settings}
                    pictures = self.model.draw_all(texts, seeds, **options)
                    write()
                    compressed = pool.map(Drawing.members, group, pictures)
            finally:  # what is drawn is kept, whatever stopped the rest
                write()
        return drawn

    def drawings(self, job: Job) -> Iterator[Drawing]:
        """A shard's pictures, in order."""

        def every() -> Iterator[tuple[Row, int]]:
            for row in self.file.rows(job.start, job.number):
                for k in range(job.skip if row.number == job.number else 0, row.count or self.order.count):
                    yield row, k

        for index, (row, k) in enumerate(itertools.islice(every(), job.pictures), job.first):
            seed = derive_seed(self.order.seed, row.number) if row.seed is None else row.seed
            yield Drawing(index, row, k, derive_seed(seed, k), self.size_of(row.size))

    def size_of(self, text: str) -> Size:
        """A row's size in pixels."""
        return parse_shape(text)(self.model.parts.layout) if text else self.order.size

    def groups(self, drawings: Iterable[Drawing]) -> Iterator[list[Drawing]]:
        """Pictures of one size that follow one another, as many as are drafted together."""
        for _, alike in itertools.groupby(drawings, lambda drawing: drawing.size):
            while group := list(itertools.islice(alike, self.order.together)):
                yield group


def shard_of(out: Path, job: Job) -> Shard:
    """The tar of a job."""
    return Shard(out / f"{job.shard:05d}.tar")


def doing(order: dict[str, Any]) -> Do:
    """What a worker on a cluster does with each job.

    Args:
        order: of ``as_json``, with the name of a ``Worker``'s method.
    """
    worker, method = Worker(from_json(order)), order["method"]

    def do(job: dict[str, int]) -> bytes:
        one = Job(**job)
        return str(worker.check(one) if method == "check" else worker.draw(one)).encode()

    return do


def as_json(order: Order) -> dict[str, Any]:
    """An order as JSON has it."""
    path, digest = order.model
    return asdict(order) | {"path": str(order.path), "out": str(order.out), "model": [str(path), digest]}


def from_json(order: dict[str, Any]) -> Order:
    """The order of ``as_json``."""
    settings = {field.name: order[field.name] for field in fields(Order)}
    path, digest = settings["model"]
    settings |= {"path": Path(settings["path"]), "out": Path(settings["out"]), "model": (Path(path), digest)}
    return Order(**settings | {"mark": tuple(settings["mark"]), "size": tuple(settings["size"])})
