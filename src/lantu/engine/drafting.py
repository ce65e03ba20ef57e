"""Drafters turn requests into ids. A *draft* is the ids of a picture or of a text, before the decoder renders pixels.

``engine.engine`` drafts token by token, ``engine.masked_diffusion`` many tokens a pass, ``backends.vllm_engine`` in
vLLM. Draft tokens, which speculative decoding verifies, are another thing: see ``engine.engine.Job``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lantu.engine.request import Request
from lantu.errors import LantuError

MASK_ID = -1  # in a draft, in place of an id that is still to come
OnStep = Callable[[int, Sequence[int]], None]


class Draft(Protocol):
    """The ids of a request while they are drafted.

    Attributes:
        ids: drafted so far. A drafter that works from left to right appends to them; any other has all of them from the
            start, MASK_ID where one is still to come. Where a model drafts vectors, an "id" is a tuple of levels: see
            ``lantu.models.spec.ModelFolder.cell_shape``.
        state: "waiting", "running", "done" or "cancelled".
        ended: it is complete, or cancelled.
    """

    state: str

    @property
    def ids(self) -> list[int]:
        """Drafted so far."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it is complete or cancelled."""
        ...


class Drafter(Protocol):
    """Turns requests into ids. Callers submit requests and call ``step`` until their drafts have ended.

    Attributes:
        exact: a draft is the same, bit for bit, whether it is drafted alone or with others.
        busy: some draft has not ended.
    """

    @property
    def exact(self) -> bool:
        """Whether a draft is the same alone and with others."""
        ...

    @property
    def busy(self) -> bool:
        """Whether some draft has not ended."""
        ...

    def submit(self, request: Request, on_step: Callable[[Sequence[int]], None] | None = None) -> Any:
        """Queue a request and give its ``Draft``; nothing is computed yet.

        Args:
            on_step: called with the draft's ids whenever some were added.
        """
        ...

    def cancel(self, draft: Any, /) -> None:
        """End a draft now."""
        ...

    def step(self) -> bool:
        """One forward pass for every draft that runs; False when there is nothing left to do."""
        ...


def draft(engine: Drafter, requests: Sequence[Request], on_step: OnStep | None = None) -> list[list[int]]:
    """Draft all requests to their ends.

    Args:
        on_step: called with the index of a request and its ids so far. An exception that it raises cancels all drafts.

    Returns:
        the ids of each request, without its prefix.
    """

    def watch(place: int) -> Callable[[Sequence[int]], None] | None:
        return None if on_step is None else lambda ids: on_step(place, ids)

    drafts = [engine.submit(request, watch(place)) for place, request in enumerate(requests)]
    try:
        while not all(each.ended for each in drafts):
            engine.step()
        return [complete_ids(each) for each in drafts]
    finally:
        for each in drafts:
            engine.cancel(each)


def complete_ids(draft: Draft) -> list[int]:
    """The ids of a draft that has ended.

    Raises:
        LantuError: it was cancelled. A failed forward pass cancels all drafts that shared it, also those whose callers
            did not see the error.
    """
    if draft.state == "cancelled":
        raise LantuError("the draft was ended by an error in another one", "draw it again")
    return list(draft.ids)
