"""One draft or rendering on its way through the worker, and what is told of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.pipeline import Control


@dataclass(frozen=True, eq=False)
class Begun:
    """It waits no longer."""


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a draft has come.

    Attributes:
        ids: drawn so far.
        codes: (h, w) int64, -1 where a code is still to come; None where nothing says how they form a picture.
        preview: what is known so far, as a picture; None where there was no time for it.
    """

    ids: list[int]
    codes: np.ndarray | None = None
    preview: "Image | None" = None


@dataclass(frozen=True, eq=False)
class Done:
    """The end of it.

    Attributes:
        ids: that were drafted.
        pictures: that were painted.
        value: what its work gave.
    """

    ids: list[int] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    value: Any = None


@dataclass(frozen=True, eq=False)
class Failed:
    """It came to nothing."""

    problem: BaseException


Event = Begun | Progress | Done | Failed
Tell = Callable[[Event], None]


@dataclass(eq=False)
class Ticket:
    """What a client waits for: some work, or a draft, and the pictures of it.

    Attributes:
        work: computed on the worker's thread; all of it, if there is any.
        request: what the engine drafts.
        then: from the ids drafted to what is drafted after them, of which alone all else speaks; None if that was all.
        grids: from the ids drafted to the grids of codes, (h, w) int64 each, that are painted.
        cells: that are painted, as far as is known before: for the estimate of waits.
        settings, seed, prompt, control: of the pictures.
        marks: so many ids after which progress is told; None: after each.
        partial: from the ids so far to a grid with -1 where a code is still to come.
        sketched: whether progress comes with previews: always, when few are drawing, never.
        finish: what is still done to a painted picture.
        noted: ids of the first draft where another came after it.
        draws: its prompt names what is to be drawn; an instruction need not.
        client: whose it is.
        tell: called on the worker's thread with each event; Done or Failed is the last.
    """

    client: str = ""
    tell: Tell = lambda event: None
    work: Callable[[], Any] | None = None
    request: Request | None = None
    then: Callable[[Sequence[int]], Request | None] | None = None
    grids: Callable[[Sequence[int]], list[np.ndarray]] = lambda ids: []
    cells: int = 0
    settings: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    prompt: str = ""
    control: "Control | None" = None
    marks: frozenset[int] | None = frozenset()
    partial: Callable[[Sequence[int]], np.ndarray] | None = None
    sketched: Literal["always", "if quiet", "never"] = "never"
    finish: Callable[[Picture], Picture] | None = None
    draws: bool = True
    deadline: float = float("inf")
    cancelled: bool = False
    asked: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    drafted: float = 0.0
    noted: list[int] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)

    @property
    def mixed(self) -> bool:
        """Whether a part of a client's picture stays in what is painted."""
        return self.finish is not None

    @property
    def ids(self) -> int:
        """To be drafted, at most."""
        return self.request.limit if self.request else 0

    @property
    def rows(self) -> int:
        """Of the engine, that it takes."""
        return self.request.rows if self.request else 0
