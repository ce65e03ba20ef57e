"""What a task asks its runner to do.

Shapes: h w grid.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.models.control import Control
from lantu.types import Picture

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Draft:
    """Draft some requests. The task is sent a list of ids for each request.

    Attributes:
        partial: the ids of the only request so far → a grid (h, w) with MASK_CODE where a code is missing, for progress
            and previews; None where ids are text.
        sketch: the ids so far → the grid that previews show instead, of a model that drafts a small grid first; None
            until it is complete.
        cells: codes that will be rendered afterwards, to estimate waiting times and progress.
        batched: requests may share forward passes even where that reorders floating-point sums.
    """

    requests: Sequence[Request]
    partial: Callable[[Sequence[int]], np.ndarray] | None = None
    cells: int = 0
    batched: bool = False
    sketch: Callable[[Sequence[int]], np.ndarray | None] | None = None

    def previewed(self, ids: Sequence[int]) -> np.ndarray | None:
        """The grid (h, w) whose picture is a preview of the draft; None where there is none, or none yet."""
        if self.sketch:
            return self.sketch(ids)
        return self.partial(ids) if self.partial else None


@dataclass(frozen=True, eq=False)
class Render:
    """Render a grid of codes. The task is sent a ``Picture``."""

    codes: np.ndarray
    seed: int
    params: SamplingParams
    prompt: str = ""
    control: Control | None = None

    @property
    def cells(self) -> int:
        """Cells of the grid."""
        return self.codes.shape[0] * self.codes.shape[1]

    @property
    def group(self) -> tuple[Any, ...]:
        """What pictures must have in common to be rendered together."""
        params = self.params
        control = id(self.control) if self.control else None
        how = (params.steps, params.render_guidance, params.sampler, params.refine, params.refine_steps)
        return self.codes.shape, *how, control


@dataclass(frozen=True, eq=False)
class Compute:
    """Call a function on the thread that computes. The task is sent its value."""

    work: Callable[[], Any] = field()

    def result(self) -> Any:
        """Call it.

        Raises:
            RuntimeError: it raises StopIteration, which whoever advances the task would take for the task's end, as a
                generator does of what it calls (PEP 479).
        """
        try:
            return self.work()
        except StopIteration as problem:
            raise RuntimeError("the work of a task raised StopIteration") from problem


Effect = Draft | Render | Compute
Task = Generator[Effect, Any, T]


def drafted(
    request: Request,
    partial: Callable[[Sequence[int]], np.ndarray] | None = None,
    cells: int = 0,
    sketch: Callable[[Sequence[int]], np.ndarray | None] | None = None,
) -> Task[list[int]]:
    """The ids of one request."""
    (ids,) = yield Draft((request,), partial, cells, sketch=sketch)
    return ids


def rendered(
    codes: np.ndarray, seed: int, params: SamplingParams, prompt: str = "", control: Control | None = None
) -> Task[Picture]:
    """The picture of a grid of codes."""
    picture: Picture = yield Render(codes, seed, params, prompt, control)
    return picture


def computed(work: Callable[[], T]) -> Task[T]:
    """A task that is one call of a function."""
    value: T = yield Compute(work)
    return value
