"""Requests in, ids out: one id at a time, only among those that may come next.

What the ids mean is not known here: which of them may come next arrives with the request.
Shapes: B requests, R rows (B, and one more for each guided request), N ids, D width.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lantu.engine.sampling import guide, sample
from lantu.engine.transformer import Transformer

Ranges = tuple[range, ...]
MOST_TOGETHER = 32


@dataclass(frozen=True)
class Request:
    """Something to go on with.

    Attributes:
        prefix: ids that are given.
        allowed: ids that may come next: the same ranges at every step, or a function of the ids drawn so far, which
            ends the draft by allowing none.
        limit: ids to draw at most.
        stop: an id that ends the draft; it is still returned.
        seed: decides every draw, whatever else is drafted.
        unconditional: the prefix without the prompt, for guidance.
        guidance: 1 is off; above 1 what the prompt makes likelier becomes likelier still.
        temperature, top_k, top_p: see ``sampling.sample``.
    """

    prefix: Sequence[int]
    allowed: Ranges | Callable[[Sequence[int]], Ranges]
    limit: int
    stop: int | None = None
    seed: int = 0
    unconditional: Sequence[int] | None = None
    guidance: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    @property
    def guided(self) -> bool:
        return self.unconditional is not None and self.guidance != 1

    def after(self, ids: Sequence[int]) -> Ranges:
        """What may follow the ids drawn so far; nothing when the draft is done."""
        if len(ids) >= self.limit or (ids and ids[-1] == self.stop):
            return ()
        return self.allowed(ids) if callable(self.allowed) else self.allowed


OnStep = Callable[[int, Sequence[int]], None]


@torch.inference_mode()
def draft(
    model: Transformer, requests: Sequence[Request], on_step: OnStep | None = None, batched: bool = False
) -> list[list[int]]:
    """Draft all requests.

    A guided request runs as two rows of one forward pass. By default each request has forward passes of its own, so
    that its ids depend on nothing but itself. Batched, up to 32 run together, which is several times faster for many;
    but a matrix product rounds differently at another number of rows, so that now and then, where two ids are about
    equally likely, a draft takes another turn.

    Args:
        on_step: called with a request's place and its ids so far, after each id.

    Returns:
        the ids drawn for each request, without its prefix.
    """
    drafts: list[list[int]] = [[] for _ in requests]
    together = MOST_TOGETHER if batched else 1
    for first in range(0, len(requests), together):
        for place, ids in run(model, requests[first : first + together]):
            drafts[first + place] = ids
            if on_step:
                on_step(first + place, ids)
    return drafts


def run(model: Transformer, requests: Sequence[Request]) -> Iterator[tuple[int, list[int]]]:
    """Draft requests together; yields a request's place and its ids so far, after each id."""
    guided = [place for place, request in enumerate(requests) if request.guided]
    prefixes = [request.prefix for request in requests] + [requests[place].unconditional or () for place in guided]
    generators = [torch.Generator().manual_seed(request.seed) for request in requests]
    owner_R = torch.tensor([*range(len(requests)), *guided], device=model.device)
    opposite = {place: len(requests) + row for row, place in enumerate(guided)}
    cache = model.cache([len(prefix) for prefix in prefixes], max(request.limit for request in requests))
    drafts: list[list[int]] = [[] for _ in requests]
    ids_RN = pad_left(prefixes, model.device)
    while turns := by_ranges([request.after(ids) for request, ids in zip(requests, drafts, strict=True)]):
        hidden_RD = model(ids_RN, cache)[:, -1]
        newest = [ids[-1] if ids else 0 for ids in drafts]
        for ranges, members in turns.items():
            rows = [opposite.get(place, place) for place in members]
            ids = draw(model, hidden_RD, ranges, members, rows, requests, generators)
            for place, id_ in zip(members, ids, strict=True):
                drafts[place].append(id_)
                newest[place] = id_
                yield place, drafts[place]
        ids_RN = torch.tensor(newest, device=model.device)[owner_R, None]


def draw(
    model: Transformer,
    hidden_RD: Tensor,
    ranges: Ranges,
    members: list[int],
    opposite: list[int],
    requests: Sequence[Request],
    generators: Sequence[torch.Generator],
) -> list[int]:
    """One id for each of the requests at ``members``, all of which may draw from the same ranges.

    Args:
        opposite: the row without the prompt of each member; its own row when it is not guided.
    """
    drawing = [requests[place] for place in members]
    rows = list(dict.fromkeys([*members, *opposite]))
    logits = model.logits(hidden_RD if len(rows) == len(hidden_RD) else hidden_RD[rows], ranges)
    if opposite != members:
        guidance = torch.tensor([request.guidance for request in drawing], device=model.device)
        logits = guide(logits[: len(members)], logits[[rows.index(row) for row in opposite]], guidance)
    columns = sample(
        logits,
        torch.stack([torch.rand((), generator=generators[place]) for place in members]).to(model.device),
        [request.temperature for request in drawing],
        [request.top_k for request in drawing],
        [request.top_p for request in drawing],
    )
    return [id_at(ranges, column) for column in columns.tolist()]


def id_at(ranges: Ranges, column: int) -> int:
    """The id that the head's ``column`` stands for."""
    for allowed in ranges:
        if column < len(allowed):
            return allowed[column]
        column -= len(allowed)
    raise IndexError(column)


def by_ranges(allowed: Sequence[Ranges]) -> dict[Ranges, list[int]]:
    """Which requests may draw from the same ranges; those that may draw nothing are left out."""
    turns: dict[Ranges, list[int]] = {}
    for place, ranges in enumerate(allowed):
        if ranges:
            turns.setdefault(ranges, []).append(place)
    return turns


def pad_left(prefixes: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(R, N) int64, the last id of each prefix in the last column."""
    longest = max(map(len, prefixes))
    return torch.tensor([[0] * (longest - len(prefix)) + list(prefix) for prefix in prefixes], device=device)
