"""Ray: workers on many machines that do jobs, each once, by Ray Data.

Ray is only imported here, inside functions. A worker that dies is replaced and its job done again, so jobs must leave
what they write whole, or able to go on. Between the processes travel numbers, JSON and bytes, in columns of Arrow: what
comes back is never unpickled.
"""

import importlib
import itertools
import json
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lantu import errors
from lantu.errors import LantuError
from lantu.recipes.ray_cluster import first_line, join

if TYPE_CHECKING:
    from pyarrow import Table

WINDOW = 10_000  # jobs that Ray Data is given at once: it keeps some kilobytes of each
Job = TypeVar("Job")
Do = Callable[[Any], bytes]  # one job, as JSON has it → its result


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and how much of it to use.

    Attributes:
        address: of its head; None for ``$RAY_ADDRESS``, else the cluster that this machine belongs to, else one of this
            machine's cores alone, which ends with this process.
        workers: so many at once; None for one on each GPU if they use any, else on each core.
    """

    address: str | None = None
    workers: int | None = None

    def each(
        self,
        prepare: Callable[[Any], Do],
        order: Any,
        jobs: Iterable[Job],
        device: str = "cpu",
        ordered: bool = False,
    ) -> Iterator[tuple[Job, bytes]]:
        """All jobs with their results, as they end.

        Args:
            prepare: a function of a module that workers can import. Each calls it with ``order`` at its first job; what
                it returns does the jobs.
            order: as JSON has it.
            jobs: as JSON has them; taken from the iterator some thousands at a time.
            device: "cpu"; else a worker has a GPU, if the cluster has any ("auto") or in any case ("cuda").
            ordered: give results in the order of the jobs.

        Raises:
            LantuError: there is no cluster, it lacks what was asked for, or is lost; or what a worker raised.
            RuntimeError: a worker raised another exception.
        """
        join(self.address, include_dashboard=False)
        import ray
        from ray.exceptions import RayError

        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if device != "cpu" else 0
        if device == "cuda" and not gpus:
            raise LantuError("the Ray cluster has no GPU", "choose --device cpu, or start its nodes with GPUs")
        workers = self.workers or gpus or max(1, int(there.get("CPU", 1)))
        task = {"work": f"{prepare.__module__}:{prepare.__qualname__}", "order": json.dumps(order)}
        jobs = iter(jobs)
        while window := list(itertools.islice(jobs, WINDOW)):
            try:
                for number, result in _window(task, window, min(workers, len(window)), bool(gpus), ordered):
                    yield window[number], result
            except RayError as problem:
                what = f"the Ray cluster failed ({first_line(problem)})"
                raise LantuError(what, "see its logs; the same command goes on") from problem


def _window(
    task: dict[str, str], jobs: list[Any], workers: int, gpus: bool, ordered: bool
) -> Iterator[tuple[int, bytes]]:
    """Numbers and results of some jobs."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # The order goes with each job, since what a worker's constructor is given may be gone when a dead one is replaced.
    rows = [task | {"number": number, "job": json.dumps(job)} for number, job in enumerate(jobs)]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    data.context.enable_progress_bars = False
    data.context.execution_options.preserve_order = ordered
    how: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    # Of Arrow, since NumPy's bytes lose the zeros at their end.
    how |= {"batch_size": 1, "batch_format": "pyarrow"}
    done = data.map_batches(_Worker, concurrency=workers, **how)
    for batch in done.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0):
        table: Any = batch
        (row,) = table.to_pylist()
        if row["problem"]:
            raise from_text(row["problem"])
        yield row["number"], row["result"]


class _Worker:
    """Runs on a worker's machine. What a job raises is a result, too, since Ray would try it again."""

    def __init__(self) -> None:
        self.do: Do | None = None

    def __call__(self, table: "Table") -> "Table":
        import pyarrow

        made = [(row.pop("number"), *self.result(**row)) for row in table.to_pylist()]
        kinds = {"number": pyarrow.int64(), "result": pyarrow.large_binary(), "problem": pyarrow.string()}
        columns = zip(kinds, zip(*made, strict=True), strict=True)
        return pyarrow.table({name: pyarrow.array(values, kinds[name]) for name, values in columns})

    def result(self, work: str, order: str, job: str) -> tuple[bytes, str]:
        """What a job returns, and what it raises, as text."""
        try:
            if self.do is None:
                module, function = work.split(":")
                self.do = getattr(importlib.import_module(module), function)(json.loads(order))
            return self.do(json.loads(job)), ""
        except Exception as problem:
            return b"", as_text(problem)


def as_text(problem: Exception) -> str:
    """An exception as JSON, with its traceback."""
    what = (problem.message, problem.hint) if isinstance(problem, LantuError) else (str(problem), "")
    trace = "".join(traceback.format_exception(problem)).encode("utf-8", "backslashreplace").decode()
    return json.dumps({"kind": type(problem).__name__, "what": what, "trace": trace})


def from_text(text: str) -> Exception:
    """The exception that ``as_text`` wrote: an error of lantu's as it was, any other as a RuntimeError."""
    raised = json.loads(text)
    kind = getattr(errors, raised["kind"], None)
    ours = isinstance(kind, type) and issubclass(kind, LantuError)
    problem = kind(*raised["what"]) if ours else RuntimeError(f"{raised['kind']}: {raised['what'][0]}")
    problem.add_note(raised["trace"])
    return problem
