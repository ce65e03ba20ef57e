"""The engine for callers that wait: requests in, ids out."""

from collections.abc import Callable, Sequence

from lantu.engine.engine import Engine
from lantu.engine.request import Request

OnStep = Callable[[int, Sequence[int]], None]


def draft(engine: Engine, requests: Sequence[Request], on_step: OnStep | None = None) -> list[list[int]]:
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
