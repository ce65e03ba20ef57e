"""One task on its way through the worker, and the events that its client receives."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lantu.tasks.effects import Draft, Effect, Render, Task, computed
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Started:
    """The job has left the queue."""


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a draft has come.

    Attributes:
        ids: token ids drafted so far.
        total: the most token ids that will be drafted.
        codes: (h, w) int64, MASK_CODE where a code is missing; None when the draft is text.
        preview: the codes so far, rendered; None when there was no time to render them.
    """

    ids: list[int]
    total: int
    codes: np.ndarray | None = None
    preview: "Image | None" = None


@dataclass(frozen=True, eq=False)
class Done:
    """The task has returned.

    Attributes:
        result: what it returned.
        image_tokens, text_tokens: numbers of tokens drafted for pictures and for text.
    """

    result: Any = None
    image_tokens: int = 0
    text_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Number of all tokens drafted."""
        return self.image_tokens + self.text_tokens


@dataclass(frozen=True, eq=False)
class Failed:
    """The task raised, was cancelled, or ran past its deadline.

    Attributes:
        problem: the exception that says why.
    """

    problem: BaseException


Event = Started | Progress | Done | Failed
Notify = Callable[[Event], None]
# Maps a draft's total number of tokens to the numbers of tokens after which progress is reported.
ProgressMarks = Callable[[int], frozenset[int]]


def no_progress(total: int) -> frozenset[int]:
    """Report no progress."""
    return frozenset()


def evenly_spaced(count: int) -> ProgressMarks:
    """Report progress ``count`` times at even intervals.

    The end of the draft has no mark, because rendering a preview there would take as long as the finished picture. A
    draft with few tokens has fewer marks.
    """
    return lambda total: frozenset(max(place, total * place // (count + 3)) for place in range(1, count + 1))


def each_row(width: int) -> ProgressMarks:
    """Report progress after each row of codes but the last, which completes the picture."""
    return lambda total: frozenset(range(width, total, width))


def each_token(total: int) -> frozenset[int]:
    """Report progress after each token, for streaming text."""
    return frozenset(range(1, total + 1))


@dataclass(eq=False)
class Job:
    """A task that a client waits for.

    The constructor advances the task to its first effect, so that bad input is refused before the job is queued.

    Attributes:
        task: see ``lantu.tasks``.
        image_marks: when to report progress of drafting codes.
        text_marks: when to report progress of drafting text.
        previews: whether progress comes with previews: always, when few jobs run, or never.
        client: identifies the client, for fair queueing.
        notify: called on the worker's thread with each event; the last one is Done or Failed.
        deadline: time.monotonic() after which the job fails.
        effect: what the task waits for; None when it has returned.
        result: what the task returned.
        drafts: the current effect's drafts, each with the drafter that runs it.
        sketched: the sketch that was shown last, which is not rendered twice.
        image_tokens, text_tokens: numbers of tokens drafted so far.
        submitted_at, started_at, drafted_at: time.monotonic() of submission, of the start, and of the last draft's end.
    """

    task: Task[Any]
    image_marks: ProgressMarks = no_progress
    text_marks: ProgressMarks = no_progress
    previews: Literal["always", "if quiet", "never"] = "never"
    client: str = ""
    notify: Notify = lambda event: None
    deadline: float = float("inf")
    cancelled: bool = False
    effect: Effect | None = None
    result: Any = None
    drafts: list[tuple[Any, Any]] = field(default_factory=list)
    sketched: np.ndarray | None = None
    image_tokens: int = 0
    text_tokens: int = 0
    submitted_at: float = field(default_factory=time.monotonic)
    started_at: float = 0.0
    drafted_at: float = 0.0

    def __post_init__(self):
        self.advance()

    def advance(self, value: Any = None) -> None:
        """Send the task the result of its effect, and take its next effect or its result."""
        try:
            self.effect = self.task.send(value)
        except StopIteration as end:
            self.effect, self.result = None, end.value

    def count_tokens(self, count: int) -> None:
        """Add tokens drafted by the current effect to the totals."""
        if isinstance(self.effect, Draft) and self.effect.partial:
            self.image_tokens += count
        else:
            self.text_tokens += count

    @property
    def progress_marks(self) -> frozenset[int]:
        """Numbers of tokens of the current draft after which progress is reported."""
        draft = self.effect
        if not isinstance(draft, Draft) or len(draft.requests) != 1:
            return frozenset()
        return (self.image_marks if draft.partial else self.text_marks)(draft.requests[0].limit)

    def report(
        self, draft: Draft, ids: Sequence[int], quiet: bool
    ) -> tuple[Callable[["Image | None"], Progress], np.ndarray | None]:
        """A report on a draft: what makes its event from its preview, and the grid (h, w) to preview, if any.

        Args:
            quiet: whether there is time for optional previews.
        """
        codes, grid = draft.partial(ids) if draft.partial else None, draft.previewed(ids)
        wanted = self.previews == "always" or (quiet and self.previews == "if quiet")
        if not wanted or (grid is not None and self.sketched is not None and np.array_equal(grid, self.sketched)):
            grid = None
        elif grid is not None:
            self.sketched = grid if draft.sketch else None
        total = draft.requests[0].limit
        return lambda preview: Progress(list(ids), total, codes, preview), grid

    def timed(self, picture: Picture, now: float) -> Picture:
        """A picture with the times that it took.

        Args:
            now: time.monotonic() at which it was rendered.
        """
        drafted_at = self.drafted_at or self.started_at
        seconds = {
            "plan": drafted_at - self.started_at,
            "render": now - drafted_at,
            "total": now - self.started_at,
        }
        return replace(picture, timings_ms={name: 1000 * each for name, each in seconds.items()})

    @property
    def draft_limit(self) -> int:
        """The most tokens that the current effect will draft."""
        return sum(request.limit for request in self.effect.requests) if isinstance(self.effect, Draft) else 0

    @property
    def rows(self) -> int:
        """Rows of the engine's batch that the current effect occupies."""
        return sum(request.rows for request in self.effect.requests) if isinstance(self.effect, Draft) else 0

    @property
    def cells(self) -> int:
        """Codes that are to be rendered, as far as is known yet."""
        if isinstance(self.effect, Draft):
            return self.effect.cells
        return self.effect.cells if isinstance(self.effect, Render) else 0


def call_job(function: Callable[[], Any]) -> Job:
    """A job that calls a function on the worker's thread and returns its value."""
    return Job(computed(function))
