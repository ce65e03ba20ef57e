"""``lantu draw --prompts``: any number of prompts drawn into WebDataset shards.

A shard has ``00000.tar``'s PNGs (``000000000.png``, …, each with its record, as ``lantu draw`` writes it) and the same
record as JSON beside each. Row i without a seed has the one derived from the run's seed and i, and its n drawings are
those of ``lantu draw PROMPT --seed SEED -n N``: on native kernels bit for bit, else up to rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lantu.engine.seeds import choose_seed
from lantu.errors import DataError, LantuError
from lantu.files import locked, sha256, write_json, writing
from lantu.files.untrusted import read_json
from lantu.models.validation import parse_shape
from lantu.recipes.bulk.cluster import Cluster
from lantu.recipes.bulk.prompts import PromptFile, Row
from lantu.recipes.bulk.worker import Job, Order, Size, Worker, as_json, doing, shard_of
from lantu.recipes.prompt_suite import LOCK, check_record

if TYPE_CHECKING:
    from lantu.pipeline import Model

RECORD = "prompts.json"  # what the run draws, and how
PER_SHARD = 1000  # pictures
TOGETHER = 16  # pictures that are drafted together, and written before the next


class Pool(Protocol):
    """Where jobs are done: here, or on a cluster."""

    def __call__(
        self, method: str, order: Order, jobs: Sequence[Job], advance: Callable[[int], None]
    ) -> Iterator[tuple[Job, int]]:
        """Each job with what ``Worker.method`` returned for it, as they end; ``advance`` gets counts of pictures."""
        ...


class BulkRun:
    """A model's drawings of a file of prompts, in a folder of their own; an earlier run in it is continued.

    Args:
        model: any that draws.
        path: of the prompts, see ``PromptFile``.
        out: the folder.
        count: drawings of a row that doesn't say.
        seed: None for that of the earlier run, else for a random one.
        size: width and height in pixels; by default the model's own.
        per_shard: pictures of a shard.
        together: pictures that are drafted together.
        device, backend: for workers that open the model themselves.
        overrides: sampling parameters.

    Raises:
        DataError: the prompts can't be read.
        DiskError: ``out`` holds another run, or something else.
        LantuError: a size, the seed or a sampling parameter is out of range.
    """

    def __init__(
        self,
        model: "Model",
        path: str | Path,
        out: str | Path,
        *,
        count: int = 1,
        seed: int | None = None,
        size: Size | None = None,
        per_shard: int = PER_SHARD,
        together: int = TOGETHER,
        device: str = "auto",
        backend: str = "native",
        **overrides: Any,
    ):
        file, size = PromptFile(path), size or model.size
        model.parts.layout.check_size(size)
        params = model.folder.settings.change(**overrides)
        self.model, self.file, self.out, self.per_shard = model, file, Path(out), per_shard
        known = self.former.get("seed")
        seed = choose_seed(known if seed is None and type(known) is int else seed)
        places = {"path": file.path.absolute(), "mark": file.mark, "out": self.out.absolute()}
        opened = {"model": (model.folder.path.absolute(), model.digest), "device": device, "backend": backend}
        drawn = {"count": count, "seed": seed, "size": size, "settings": params.as_dict(), "together": together}
        self.order = Order(**places, **opened, **drawn)
        self.record = {
            "prompts": sha256(file.path),
            "count": count,
            "seed": seed,
            "size": list(size),
            "per_shard": per_shard,
            "model": model.digest,
            "settings": params.as_dict(),
        }
        check_record(self.out, self.record, RECORD)
        self.jobs = list(self.plan())

    @cached_property
    def former(self) -> dict[str, Any]:
        """The record of an earlier run in the folder; empty if there is none that can be read."""
        try:
            found = read_json(self.out / RECORD)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def plan(self) -> Iterator[Job]:
        """The shards, in order; every row is read once, and its size compared with what the model draws.

        Raises:
            DataError: a row is wrong, or there is none.
        """
        sizes: dict[str, None] = {}
        self.rows = self.pictures = 0
        begin, start = None, self.file.start  # of the shard: start, number and skip of its first row; of the row
        for row in self.file.rows():
            if row.size not in sizes:
                self.check_size(row)
                sizes[row.size] = None
            k, count = 0, row.count or self.order.count
            while k < count:
                begin = begin or (start, row.number, k)
                step = min(count - k, self.per_shard - self.pictures % self.per_shard)
                k, self.pictures = k + step, self.pictures + step
                if self.pictures % self.per_shard == 0:
                    yield self.job(self.per_shard, begin)
                    begin = None
            self.rows, start = self.rows + 1, row.end
        if begin:
            yield self.job(self.pictures % self.per_shard, begin)
        if not self.rows:
            raise DataError(f"{self.file.path} holds no prompts", "write one a line")

    def job(self, pictures: int, begin: tuple[int, int, int]) -> Job:
        """The shard that ends with the picture that was planned last."""
        first = self.pictures - pictures
        return Job(first // self.per_shard, first, pictures, *begin)

    def check_size(self, row: Row) -> None:
        """Raises DataError: the model draws no such size."""
        layout = self.model.parts.layout
        try:
            if row.size:
                layout.check_size(parse_shape(row.size)(layout))
        except LantuError as problem:
            raise DataError(f"row {row.number + 1} of {self.file.path}: {problem.message}", problem.hint) from None

    def draw(self, pool: Pool | None = None, advance: Callable[[int, int], None] = lambda d, t: None) -> dict[str, Any]:
        """Draw the pictures that are missing.

        Before the first, every prompt is checked: whoever waits hours for the others should not learn then of one that
        can't be drawn.

        Args:
            pool: None for this process.
            advance: called with (pictures done, in all).

        Returns:
            as JSON: folder, shards, prompts, pictures, drawn (now), seed, model.
        """
        pool = pool or self.here
        if not self.former:
            for _ in pool("check", self.order, self.jobs, lambda count: None):
                pass
        self.claim()
        todo = [job for job in self.jobs if not shard_of(self.out, job).path.exists()]
        done, drawn = self.pictures - sum(job.pictures for job in todo), 0

        def step(count: int) -> None:
            nonlocal done
            done += count
            advance(done, self.pictures)

        step(0)
        for _, count in pool("draw", self.order, todo, step):
            drawn += count
        return {
            "folder": str(self.out),
            "shards": len(self.jobs),
            "prompts": self.rows,
            "pictures": self.pictures,
            "drawn": drawn,
            "seed": self.order.seed,
            "model": self.model.name,
        }

    def claim(self) -> None:
        """Write the record, unless another process that draws into the folder has.

        Raises:
            DiskError: it draws something else.
        """
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        with locked(self.out / LOCK):
            check_record(self.out, self.record, RECORD)
            if not (self.out / RECORD).exists():
                write_json(self.out / RECORD, self.record | {"name": self.model.name, "file": self.file.path.name})

    def here(
        self, method: str, order: Order, jobs: Sequence[Job], advance: Callable[[int], None]
    ) -> Iterator[tuple[Job, int]]:
        """A ``Pool`` of this process alone."""
        worker = Worker(order, self.model)
        for job in jobs:
            yield job, worker.check(job) if method == "check" else worker.draw(job, advance)


class OnRay:
    """A ``Pool`` of workers on a Ray cluster."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster

    def __call__(
        self, method: str, order: Order, jobs: Sequence[Job], advance: Callable[[int], None]
    ) -> Iterator[tuple[Job, int]]:
        if method == "check":
            order = replace(order, device="cpu")
        task = as_json(order) | {"method": method}
        for job, count in self.cluster.each(doing, task, map(asdict, jobs), order.device):
            advance(job["pictures"])
            yield Job(**job), int(count)
