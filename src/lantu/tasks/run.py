"""Runs tasks to completion, for the library; the server's worker advances tasks of many requests instead.

Tasks draft first, then render; both are batched where that is exact or requested.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from lantu.engine.drafting import complete_ids
from lantu.models.spec import Parts
from lantu.tasks.effects import Compute, Draft, Effect, Render, Task
from lantu.types import Picture

T = TypeVar("T")
BATCH = 32  # pictures rendered together at most
OnIds = Callable[[Draft, Sequence[int]], None]


@dataclass(eq=False)
class Running(Generic[T]):
    """A task and the effect that it waits for.

    Attributes:
        effect: None when the task has ended.
        drafts: (drafter, job) for each request of a ``Draft`` effect, once submitted.
        draft_s: seconds of drafting; time shared with other tasks is divided equally.
        result: what the task returned.
    """

    task: Task[T]
    effect: Effect | None = None
    drafts: list[tuple[Any, Any]] = field(default_factory=list)
    draft_s: float = 0.0
    result: Any = None

    def advance(self, value: Any = None) -> None:
        """Send the result of the last effect and go on to the next; ``Compute`` effects run at once."""
        try:
            self.effect = self.task.send(value)
            while isinstance(self.effect, Compute):
                self.effect = self.task.send(self.effect.result())
        except StopIteration as end:
            self.effect, self.result = None, end.value

    @property
    def drafting(self) -> bool:
        """Whether the task waits for ids."""
        return isinstance(self.effect, Draft)


def run(parts: Parts, tasks: Sequence[Task[T]], *, batched: bool = False, on_ids: OnIds | None = None) -> list[T]:
    """Run tasks together; returns their results in order.

    Args:
        batched: batch even where that reorders floating-point sums, so that a result may differ slightly from the same
            task run alone. Native kernels are exact and always batch.
        on_ids: called after each step with an effect and the ids of one of its requests so far.
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
    """Run one task; returns its result."""
    (result,) = run(parts, [task], on_ids=on_ids)
    return result


def count_codes(progress: Callable[[int, int], None], total: int) -> OnIds:
    """``on_ids`` of ``run`` that reports the codes drafted so far, in all requests, and the total."""
    drafted: dict[Draft, int] = {}
    done = 0

    def count(effect: Draft, ids: Sequence[int]) -> None:
        nonlocal done
        if effect.partial is None:
            return  # words, as of a plan
        count_now = known(ids)
        if len(effect.requests) == 1 and effect.cells:  # ids that are no code of the picture count as a part of it
            count_now = count_now * effect.cells // max(1, effect.requests[0].limit)
        done += count_now - drafted.get(effect, 0)
        drafted[effect] = count_now
        progress(done, total)

    return count


def known(ids: Sequence[Any]) -> int:
    """How many ids are drafted; those that are still missing are negative. A vector, a tuple, is one id."""
    return sum(isinstance(id_, tuple) or id_ >= 0 for id_ in ids)


def draft(parts: Parts, running: Sequence[Running[Any]], batched: bool, on_ids: OnIds | None) -> None:
    """Draft until no task waits for ids; on any failure, all drafts are cancelled."""
    try:
        while drafting := [each for each in running if each.drafting]:
            started = time.perf_counter()
            for each in drafting:
                if not each.drafts:
                    submit(parts, each, batched, on_ids)
            step_drafters(drafting)
            for each in drafting:
                each.draft_s += (time.perf_counter() - started) / len(drafting)
                if (ids := take_ids(each)) is not None:
                    each.advance(ids)
    finally:
        for each in running:
            cancel_drafts(each)


class Drafting(Protocol):
    """What waits for drafts: a task that the library runs, or a job of the server.

    Attributes:
        drafts: each with its drafter.
    """

    drafts: list[tuple[Any, Any]]


def step_drafters(waiting: Sequence[Drafting]) -> None:
    """One step of each drafter that any of these waits for."""
    for drafter in {id(drafter): drafter for each in waiting for drafter, _ in each.drafts}.values():
        drafter.step()


def take_ids(waiting: Drafting) -> list[list[int]] | None:
    """The ids of all drafts once all have ended, which are then no longer waited for; None before.

    Raises:
        LantuError: a draft was cancelled before it was complete.
    """
    if not all(draft.ended for _, draft in waiting.drafts):
        return None
    ids, waiting.drafts = [complete_ids(draft) for _, draft in waiting.drafts], []
    return ids


def cancel_drafts(waiting: Drafting) -> None:
    """Free what the drafters hold."""
    for drafter, draft in waiting.drafts:
        drafter.cancel(draft)
    waiting.drafts = []


def submit(parts: Parts, waiting: Running[Any], batched: bool, on_ids: OnIds | None) -> None:
    """Submit the requests of a task's ``Draft`` effect."""
    effect = waiting.effect
    assert isinstance(effect, Draft)
    parts.make_room("drafting")
    drafter = parts.batched_drafter if batched or effect.batched else parts.drafter
    watch = None if on_ids is None else lambda ids: on_ids(effect, ids)
    for request in effect.requests:  # those before one that is refused are cancelled, too
        waiting.drafts.append((drafter, drafter.submit(request, watch)))


def render(parts: Parts, waiting: Sequence[Running[Any]], batched: bool) -> list[Picture]:
    """The pictures that tasks wait for, in their order."""
    if waiting:
        parts.make_room("rendering")
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
    """Slices of consecutive effects that can be rendered together, of at most ``most`` each."""
    start = 0
    for stop in range(1, len(wanted) + 1):
        if stop == len(wanted) or stop - start == most or wanted[stop].group != wanted[start].group:
            yield slice(start, stop)
            start = stop


def render_group(parts: Parts, group: Sequence[Render]) -> list[Picture]:
    """Render effects of one ``Render.group`` together; the caller fills in ``timings_ms``."""
    import numpy as np
    from PIL import Image

    params, control = group[0].params, group[0].control
    codes_Bhw = np.stack([each.codes for each in group])
    prompts = [each.prompt for each in group]
    arrays = parts.render(codes_Bhw, [each.seed for each in group], params, control, prompts)
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
