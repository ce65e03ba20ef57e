"""Previews: pictures that the decoder renders, in one step, from the codes drafted so far.

The decoder was trained on grids whose last codes are missing, so an unfinished draft renders too. Shapes: h w grid.
"""

import collections
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from lantu import kernels
from lantu.engine.drafting import MASK_ID
from lantu.engine.sampling_params import SamplingParams
from lantu.models.spec import Parts
from lantu.tasks.effects import Draft
from lantu.tasks.run import Running, cancel_drafts, known, render, submit, take_ids
from lantu.types import Picture, Step

if TYPE_CHECKING:
    from PIL.Image import Image

PARAMS = SamplingParams(steps=1)  # of a preview


class Previewer:
    """Renders previews on one core while the others go on drafting. A context manager: pending previews are dropped.

    It takes three cores: on two, a drawing with seven previews took 62 ms, and 56 ms with both jobs taking turns.

    Args:
        beside: whether to render concurrently; a decoder on a GPU takes turns with the draft.
    """

    def __init__(self, parts: Parts, beside: bool):
        self.parts = parts
        cores = kernels.threads() if beside else 1
        beside = cores > 2
        self.pool = ThreadPoolExecutor(1) if beside else None
        self.drafting = kernels.ThreadGroup(cores - 1) if beside else contextlib.nullcontext()
        self.rendering = kernels.ThreadGroup(1) if beside else contextlib.nullcontext()

    def __enter__(self) -> "Previewer":
        return self

    def __exit__(self, *problem: object) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def submit(self, codes_hw: np.ndarray, seed: int) -> "Future[Image]":
        """Render a grid; the future is done already where rendering takes turns with drafting."""
        if self.pool:
            return self.pool.submit(self.now, codes_hw, seed)
        done: Future[Image] = Future()
        done.set_result(self.now(codes_hw, seed))
        return done

    def now(self, codes_hw: np.ndarray, seed: int) -> "Image":
        """Render a grid on the calling thread."""
        with self.rendering:
            return preview(self.parts, codes_hw, seed)


def preview(parts: Parts, codes_hw: np.ndarray, seed: int) -> "Image":
    """Render a grid with missing codes (MASK_CODE)."""
    from PIL import Image

    return Image.fromarray(parts.render(codes_hw[None], [seed], PARAMS)[0])


def stream(parts: Parts, running: Running[Picture], seed: int, every: int) -> Iterator[Step]:
    """Draw a picture, step by step.

    Args:
        running: a drawing that has been advanced to its first effect.
        every: codes between two steps.

    Yields:
        ``Step``; the last has the picture. A decoder that can't render missing codes yields only that one.
    """
    try:
        while running.drafting:
            yield from drafting(parts, running, seed, every)
        (picture,) = render(parts, [running], batched=False)
        yield Step(picture.image, picture.codes, 1.0, picture)
    finally:
        cancel_drafts(running)
        running.task.close()


def drafting(parts: Parts, running: Running[Picture], seed: int, every: int) -> Iterator[Step]:
    """The steps of one draft; then advances the task."""
    effect = running.effect
    assert isinstance(effect, Draft)
    submit(parts, running, False, None)
    ((drafter, draft),) = running.drafts
    total, shown = effect.requests[0].limit, 0
    in_order = MASK_ID not in draft.ids
    watched = parts.previews and not parts.sparing and effect.partial is not None
    waiting: collections.deque[tuple[Future[Image], np.ndarray, float]] = collections.deque()
    previewed: tuple[np.ndarray, Future[Image]] | None = None  # the newest, and its grid
    with Previewer(parts, beside=watched and parts.exact and every < total) as previewer:
        while not draft.ended:
            started = time.perf_counter()
            with previewer.drafting:
                drafter.step()
            running.draft_s += time.perf_counter() - started
            count = known(draft.ids)
            while watched and effect.partial and shown + every <= count and shown + every < total:
                if not in_order and count == total:  # the finished picture follows
                    break
                shown = shown + every if in_order else count
                ids = draft.ids[:shown] if in_order else draft.ids
                if (grid := effect.previewed(ids)) is None:
                    continue
                if not previewed or not np.array_equal(grid, previewed[0]):  # a sketch stays what it is
                    previewed = grid, previewer.submit(grid, seed)
                codes = effect.partial(ids)
                # A denoiser of latents has an estimate of every code from the first step on.
                drawn = float((codes >= 0).mean()) * codes.shape[0] * codes.shape[1] / (effect.cells or codes.size)
                waiting.append((previewed[1], codes, min(drawn, known(ids) / total)))
            while waiting and (draft.ended or waiting[0][0].done()):
                future, codes, fraction = waiting.popleft()
                yield Step(future.result(), codes, fraction)
    running.advance(take_ids(running))
