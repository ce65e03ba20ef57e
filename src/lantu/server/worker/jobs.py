"""One task on its way through the worker, and the events that its client gets."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lantu.tasks.effects import Draft, Effect, Render, Task, computed

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Begun:
    """It waits no longer."""


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a draft has come.

    Attributes:
        ids: drafted so far.
        total: ids to be drafted, at most.
        codes: (h, w) int64, MASK_CODE where a code is missing; None where the ids are words.
        preview: the codes so far, rendered; None where there was no time for it.
    """

    ids: list[int]
    total: int
    codes: np.ndarray | None = None
    preview: "Image | None" = None


@dataclass(frozen=True, eq=False)
class Done:
    """The task has ended.

    Attributes:
        result: what it returned.
        image_tokens, text_tokens: ids that were drafted for it, of pictures and of words.
    """

    result: Any = None
    image_tokens: int = 0
    text_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Ids that were drafted for it."""
        return self.image_tokens + self.text_tokens


@dataclass(frozen=True, eq=False)
class Failed:
    """The task raised, was cancelled, or reached its deadline."""

    problem: BaseException


Event = Begun | Progress | Done | Failed
Notify = Callable[[Event], None]
Marks = Callable[[int], frozenset[int]]  # ids of a draft in all → numbers of ids after which progress is reported


def never(total: int) -> frozenset[int]:
    """No progress."""
    return frozenset()


def evenly(count: int) -> Marks:
    """So many marks, evenly through the draft; none in its last part, after which rendering takes as long again.

    A draft of few ids has as many, as long as there are ids for them.
    """
    return lambda total: frozenset(max(place, total * place // (count + 3)) for place in range(1, count + 1))


def rows(width: int) -> Marks:
    """A mark a row of cells; the last is the finished picture's."""
    return lambda total: frozenset(range(width, total, width))


def each_id(total: int) -> frozenset[int]:
    """Progress after each id, for words."""
    return frozenset(range(1, total + 1))


@dataclass(eq=False)
class Job:
    """A task that a client waits for. It is advanced to its first effect at once, so that bad input is refused early.

    Attributes:
        task: see ``lantu.tasks``.
        marks: numbers of drafted codes after which progress is reported.
        word_marks: the same for drafts of words.
        previews: whether progress comes with previews: always, when few jobs run, never.
        effect: what the task waits for; None when it has ended.
        client: whose it is.
        notify: called on the worker's thread with each event; Done or Failed is the last.
        drafts: of the effect that it waits for, as the drafter knows them.
        image_tokens, text_tokens: ids drafted so far, of pictures and of words.
        asked, begun, drafted: when it was submitted, when it began, and when its last draft ended, in seconds.
    """

    task: Task[Any]
    marks: Marks = never
    word_marks: Marks = never
    previews: Literal["always", "if quiet", "never"] = "never"
    client: str = ""
    notify: Notify = lambda event: None
    deadline: float = float("inf")
    cancelled: bool = False
    effect: Effect | None = None
    result: Any = None
    drafts: list[tuple[Any, Any]] = field(default_factory=list)
    image_tokens: int = 0
    text_tokens: int = 0
    asked: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    drafted: float = 0.0

    def __post_init__(self):
        self.advance()

    def advance(self, value: Any = None) -> None:
        """Send the task the result of its effect, and take the next."""
        try:
            self.effect = self.task.send(value)
        except StopIteration as end:
            self.effect, self.result = None, end.value

    def count(self, ids: int) -> None:
        """Count ids of the present draft."""
        if isinstance(self.effect, Draft) and self.effect.partial:
            self.image_tokens += ids
        else:
            self.text_tokens += ids

    @property
    def due(self) -> frozenset[int]:
        """Numbers of ids of the present draft after which progress is reported."""
        draft = self.effect
        if not isinstance(draft, Draft) or len(draft.requests) != 1:
            return frozenset()
        return (self.marks if draft.partial else self.word_marks)(draft.requests[0].limit)

    @property
    def ids(self) -> int:
        """To be drafted by the present effect, at most."""
        return sum(request.limit for request in self.effect.requests) if isinstance(self.effect, Draft) else 0

    @property
    def rows(self) -> int:
        """Rows of a forward pass that the present effect takes."""
        return sum(request.rows for request in self.effect.requests) if isinstance(self.effect, Draft) else 0

    @property
    def cells(self) -> int:
        """Codes to be rendered, as far as is known."""
        if isinstance(self.effect, Draft):
            return self.effect.cells
        return self.effect.codes.size if isinstance(self.effect, Render) else 0


def work(function: Callable[[], Any]) -> Job:
    """A job that is one call of a function on the worker's thread."""
    return Job(computed(function))


def jobs_of(tasks: Sequence[Task[Any]], **how: Any) -> list[Job]:
    """Jobs of one request."""
    return [Job(task, **how) for task in tasks]
