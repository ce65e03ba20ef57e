"""The engine for callers that wait: requests in, ids out."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lantu.engine.request import Request

OnStep = Callable[[int, Sequence[int]], None]


class Drafter(Protocol):
    """An engine as its callers know it, lantu's own or another's.

    Attributes:
        exact: what is drafted together is what it would be alone, bit for bit.
        busy: there is something left to do.
    """

    @property
    def exact(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    def submit(self, request: Request, on_step: Callable[[Sequence[int]], None] | None = None) -> Any:
        """Add a request: a job with ``ids`` and ``ended``. ``on_step`` is called with the ids so far, after each."""
        ...

    def cancel(self, job: Any) -> None:
        """End a job now, whatever it has drawn."""
        ...

    def step(self) -> bool:
        """Draw an id or more for every job that runs; False when there is nothing left to do."""
        ...


def draft(engine: Drafter, requests: Sequence[Request], on_step: OnStep | None = None) -> list[list[int]]:
    """Draft all requests.

    Args:
        on_step: called with a request's place and its ids so far, after each id. What it raises ends all of them.

    Returns:
        the ids drawn for each request, without its prefix.
    """

    def told(place: int) -> Callable[[Sequence[int]], None] | None:
        return None if on_step is None else lambda ids: on_step(place, ids)

    jobs = [engine.submit(request, told(place)) for place, request in enumerate(requests)]
    try:
        while not all(job.ended for job in jobs):
            engine.step()
    finally:
        for job in jobs:
            engine.cancel(job)
    return [job.ids for job in jobs]
