"""Run tasks to their end: what the library does with them. The server's worker advances them with others' instead.

All drafts go together, then all rendering: together where that is exact or asked for, else one at a time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from lantu.models.spec import Parts
from lantu.tasks.effects import Compute, Draft, Effect, Render, Task
from lantu.types import Picture

T = TypeVar("T")
BATCH = 32  # pictures that are rendered together
OnIds = Callable[[Draft, Sequence[int]], None]


@dataclass(eq=False)
class Running(Generic[T]):
    """A task and the effect that it waits for.

    Attributes:
        effect: None when the task has ended.
        drafts: of the effect, where it is a ``Draft``.
        draft_s: seconds that its drafts took, its share of those that were made together.
    """

    task: Task[T]
    effect: Effect | None = None
    drafts: list[Any] = field(default_factory=list)
    draft_s: float = 0.0
    result: Any = None

    def advance(self, value: Any = None) -> None:
        """Go on to the next effect with the result of the last; what is to be computed is computed at once."""
        try:
            self.effect = self.task.send(value)
            while isinstance(self.effect, Compute):
                self.effect = self.task.send(self.effect.work())
        except StopIteration as end:
            self.effect, self.result = None, end.value

    @property
    def drafting(self) -> bool:
        return isinstance(self.effect, Draft)


def run(parts: Parts, tasks: Sequence[Task[T]], *, batched: bool = False, on_ids: OnIds | None = None) -> list[T]:
    """The results of tasks, in their order.

    Args:
        batched: draft and render all together even where that rounds sums in another order, so that a result may differ
            a little from the same one alone. Native kernels never differ, and always go together.
        on_ids: called with an effect and the ids of one of its requests so far, after each step.
    """
    running = [Running(task) for task in tasks]
    try:
        for each in running:
            each.advance()
        while any(each.effect for each in running):
            draft(parts, running, batched, on_ids)
            waiting = [each for each in running if isinstance(each.effect, Render)]
            for each, picture in zip(waiting, render(parts, waiting, batched), strict=True):
                each.advance(picture)
    finally:
        for each in running:
            each.task.close()
    return [each.result for each in running]


def run_one(parts: Parts, task: Task[T], on_ids: OnIds | None = None) -> T:
    """The result of one task."""
    (result,) = run(parts, [task], on_ids=on_ids)
    return result


def count_codes(progress: Callable[[int, int], None], total: int) -> OnIds:
    """``on_ids`` of ``run`` that reports the codes drafted so far, in all requests, and the total."""
    drafted: dict[Draft, int] = {}
    done = 0

    def count(effect: Draft, ids: Sequence[int]) -> None:
        nonlocal done
        done += known(ids) - drafted.get(effect, 0)
        drafted[effect] = known(ids)
        progress(done, total)

    return count


def known(ids: Sequence[int]) -> int:
    """How many ids are drafted; those that are still missing are negative."""
    return sum(id_ >= 0 for id_ in ids)


def draft(parts: Parts, running: Sequence[Running[Any]], batched: bool, on_ids: OnIds | None) -> None:
    """Draft until no task waits for ids."""
    try:
        while drafting := [each for each in running if each.drafting]:
            started = time.perf_counter()
            for each in drafting:
                if not each.drafts:
                    submit(parts, each, batched, on_ids)
            for drafter in {id(drafter): drafter for each in drafting for drafter, _ in each.drafts}.values():
                drafter.step()
            for each in drafting:
                each.draft_s += (time.perf_counter() - started) / len(drafting)
                if all(draft.ended for _, draft in each.drafts):
                    ids, each.drafts = [list(draft.ids) for _, draft in each.drafts], []
                    each.advance(ids)
    finally:
        for each in running:
            for drafter, draft in each.drafts:
                drafter.cancel(draft)


def submit(parts: Parts, waiting: Running[Any], batched: bool, on_ids: OnIds | None) -> None:
    """Give the requests of a task's effect to a drafter."""
    effect = waiting.effect
    assert isinstance(effect, Draft)
    drafter = parts.batched_drafter if batched or effect.batched else parts.drafter
    watch = None if on_ids is None else lambda ids: on_ids(effect, ids)
    waiting.drafts = [(drafter, drafter.submit(request, watch)) for request in effect.requests]


def render(parts: Parts, waiting: Sequence[Running[Any]], batched: bool) -> list[Picture]:
    """The pictures that tasks wait for."""
    wanted = [each.effect for each in waiting if isinstance(each.effect, Render)]
    pictures: list[Picture] = []
    for group in neighbours(wanted, BATCH if batched or parts.exact else 1):
        started = time.perf_counter()
        painted = render_group(parts, wanted[group])
        render_ms = 1000 * (time.perf_counter() - started) / len(painted)
        for each, picture in zip(waiting[group], painted, strict=True):
            draft_ms = 1000 * each.draft_s
            timings = {"plan": draft_ms, "render": render_ms, "total": draft_ms + render_ms}
            pictures.append(replace(picture, timings_ms=timings))
    return pictures


def neighbours(wanted: Sequence[Render], most: int) -> Iterator[slice]:
    """Neighbours that can be rendered together, at most so many."""
    start = 0
    for stop in range(1, len(wanted) + 1):
        if stop == len(wanted) or stop - start == most or wanted[stop].group != wanted[start].group:
            yield slice(start, stop)
            start = stop


def render_group(parts: Parts, group: Sequence[Render]) -> list[Picture]:
    """Pictures of one ``Render.group``, rendered together; ``timings_ms`` are left to the caller."""
    import numpy as np
    from PIL import Image

    params, control = group[0].params, group[0].control
    codes_Bhw = np.stack([each.codes for each in group])
    arrays = parts.render(codes_Bhw, [each.seed for each in group], params, control)
    return [
        Picture(
            Image.fromarray(array),
            each.codes,
            each.prompt,
            each.seed,
            parts.folder.digest,
            each.params.as_dict(),
            unknown_words=parts.layout.unknown_words(each.prompt),
        )
        for array, each in zip(arrays, group, strict=True)
    ]
