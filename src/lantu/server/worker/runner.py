"""What runs a server's jobs, as the rest of the server sees it.

On one machine that is the thread ``worker.Worker``; on a cluster ``lantu.server.cluster.runner.ClusterRunner``, which
sends effects of tasks to other processes.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lantu.server.worker.jobs import Job

if TYPE_CHECKING:
    from lantu.pipeline import Model


class Runner(Protocol):
    """Runs jobs. All methods may be called on any thread."""

    @property
    def model(self) -> "Model":
        """The model; only once ``ready`` is set."""
        ...

    @property
    def ready(self) -> threading.Event:
        """Set once the model is loaded."""
        ...

    @property
    def problem(self) -> BaseException | None:
        """Why the model could not be loaded."""
        ...

    @property
    def draining(self) -> bool:
        """Whether it accepts no more jobs."""
        ...

    @property
    def idle(self) -> bool:
        """Whether no job is running or waiting."""
        ...

    def start(self) -> Any:
        """Begin to load the model and to run jobs."""
        ...

    def stop(self, timeout_s: float = 10.0) -> None:
        """End; all jobs fail."""
        ...

    def drain(self) -> None:
        """Accept no more jobs."""
        ...

    def now(self) -> "Runner":
        """The runner of one request: its model stays the same, even if the server changes to another meanwhile."""
        ...

    def release(self) -> None:
        """The request of ``now`` submits no more jobs."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue all jobs of one request, or none of them.

        Raises:
            Draining, Loading, QueueFull: none was queued.
        """
        ...

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel jobs, waiting or running."""
        ...

    def place(self, job: Job) -> tuple[int, float] | None:
        """The number of jobs ahead of a waiting one, and the seconds until it starts; None once it has started."""
        ...

    async def metrics_page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...
