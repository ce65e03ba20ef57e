"""Ray: workers on many machines that do jobs, each once, by Ray Data.

Ray is only imported here, inside functions. A worker that dies is replaced and its job done again, so jobs must leave
what they write whole, or able to go on.
"""

import contextlib
import importlib.util
import itertools
import logging
import os
import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from lantu.errors import LantuError

WINDOW = 10_000  # jobs that Ray Data is given at once: it keeps some kilobytes of each
Job = TypeVar("Job")
Result = TypeVar("Result")


def check_installed() -> None:
    """Raises LantuError: Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise LantuError("Ray is not installed", "pip install 'lantu[ray]'")


def prepare() -> None:
    """Set the environment variables that Ray reads when it starts; those that the user has set stay."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a later default, of which it warns


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

    def connect(self) -> None:
        """Join it.

        Raises:
            LantuError: Ray is not installed, or there is no cluster at the address.
        """
        check_installed()
        prepare()
        import ray

        if ray.is_initialized():
            return
        try:
            ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except Exception as problem:  # of many kinds, some of them Exception itself
            where = self.address or os.environ.get("RAY_ADDRESS")
            what = f"no Ray cluster at {where}" if where else "Ray can't start a cluster here"
            raise LantuError(f"{what} ({first_line(problem)})", "see ray status, or name another") from problem

    def each(
        self,
        make: Callable[[], Callable[[Job], Result]],
        jobs: Iterable[Job],
        device: str = "cpu",
        ordered: bool = False,
    ) -> Iterator[Result]:
        """Results of all jobs, as they end.

        Args:
            make: makes a worker, on its machine, at its first job; picklable.
            jobs: picklable; taken from the iterator some thousands at a time.
            device: "cpu"; else a worker has a GPU, if the cluster has any ("auto") or in any case ("cuda").
            ordered: give results in the order of the jobs.

        Raises:
            LantuError: there is no cluster, it lacks what was asked for, or is lost.
            Exception: what a worker raised.
        """
        self.connect()
        import ray
        from ray import cloudpickle
        from ray.exceptions import RayError

        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if device != "cpu" else 0
        if device == "cuda" and not gpus:
            raise LantuError("the Ray cluster has no GPU", "choose --device cpu, or start its nodes with GPUs")
        workers = self.workers or gpus or max(1, int(there.get("CPU", 1)))
        jobs = iter(jobs)
        while window := list(itertools.islice(jobs, WINDOW)):
            try:
                yield from _window(cloudpickle.dumps(make), window, min(workers, len(window)), bool(gpus), ordered)
            except RayError as problem:
                what = f"the Ray cluster failed ({first_line(problem)})"
                raise LantuError(what, "see its logs; the same command goes on") from problem


def first_line(problem: Exception) -> str:
    """What it says, without its details."""
    return next(iter(str(problem).strip().splitlines()), type(problem).__name__)


def _window(make: bytes, jobs: list[Job], workers: int, gpus: bool, ordered: bool) -> Iterator[Any]:
    """Results of some jobs."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # With each job, since what a worker's constructor is given may be gone when a dead one is replaced.
    rows = [{"make": make, "job": pickle.dumps(job)} for job in jobs]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    data.context.enable_progress_bars = False
    data.context.execution_options.preserve_order = ordered
    resources: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    done = data.map_batches(_Worker, batch_size=1, concurrency=workers, **resources)
    for batch in done.iter_batches(batch_size=1, prefetch_batches=0):
        result = pickle.loads(batch["result"][0])
        if isinstance(result, Exception):
            raise result
        yield result


class _Worker:
    """Runs on a worker's machine. What a job raises is a result, too, since Ray would try it again."""

    def __init__(self) -> None:
        self.do: Callable[[Any], Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": [self.result(make, job) for make, job in zip(batch["make"], batch["job"], strict=True)]}

    def result(self, make: bytes, job: bytes) -> bytes:
        """What the job returns or raises, pickled."""
        try:
            self.do = self.do or pickle.loads(make)()
            return pickle.dumps(self.do(pickle.loads(job)))
        except Exception as problem:
            problem.add_note(traceback.format_exc())
            with contextlib.suppress(Exception):
                packed = pickle.dumps(problem)
                pickle.loads(packed)  # some exceptions can be pickled, but not unpickled
                return packed
            return pickle.dumps(RuntimeError(f"{type(problem).__name__}: {problem}"))
