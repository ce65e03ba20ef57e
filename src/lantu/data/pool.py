"""Work on all cores that ends when the parent process does."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import Connection
from typing import TypeVar

from lantu.kernels.cores import usable_cores

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_all(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None = None) -> Iterator[Result]:
    """Yield ``function(job)`` of every job, as results arrive.

    An error, Ctrl-C or the end of this process, however sudden, ends the workers at once: jobs must write through
    ``lantu.files.replacing``, so that no file is left half written.

    Args:
        function: importable by name, like the jobs' types.
        jobs: arguments, one per call.
        workers: processes; one for each usable core when None. With 1 the jobs run in this process.
    """
    workers = min(workers or usable_cores(), len(jobs))
    if workers <= 1:
        yield from map(function, jobs)
        return
    # A forked child would inherit the locks that other threads, such as torch's, hold at that moment.
    context = multiprocessing.get_context("spawn")
    listening, speaking = context.Pipe(duplex=False)
    with listening, speaking, ProcessPoolExecutor(workers, context, _follow, (listening,)) as pool:
        try:
            for future in as_completed([pool.submit(function, job) for job in jobs]):
                yield future.result()
        except BaseException:
            speaking.close()
            raise


def _follow(parent: Connection) -> None:
    """Leave Ctrl-C to the parent, and exit when the parent closes its end of the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
