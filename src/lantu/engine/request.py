"""A request for a draft. The meaning of ids is unknown here; the request says which ids are allowed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Ranges = tuple[range, ...]


@dataclass(frozen=True)
class Request:
    """A prompt to continue.

    Attributes:
        prefix: ids of the prompt.
        allowed: ids that may come next: the same ranges at every step, or a function of the ids drafted so far, which
            ends the draft by allowing none.
        limit: maximum number of ids.
        stop: an id that ends the draft; it is included.
        seed: decides the draft, whatever else is drafted.
        unconditional: ids of the unconditional prompt, for guidance.
        guidance: guidance scale (classifier-free guidance); 1 is off.
        temperature, top_k, top_p, contrast: see ``lantu.kernels.Choice``.
        num_draft_tokens: ids that are guessed after the next one and verified in the same forward pass, see
            ``engine.Job``.
        min_accepted: ids that each pass accepts even where its guesses were wrong; above 1 the draft is not exact.
        bias: logits processor: what is added to the logits of the allowed ids, (ids) float32, as a function of the ids
            drafted so far. The allowed ids must be the same at every step.
        stride: ids whose biases are computed together. Guesses stop at its end, because the next biases would depend on
            guesses. 0 for no limit.
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
    contrast: int = 0
    num_draft_tokens: int = 0
    min_accepted: int = 1
    bias: Callable[[Sequence[int]], Any] | None = field(default=None, compare=False)
    stride: int = 0

    def __post_init__(self):
        if not self.prefix or self.limit < 0:
            raise ValueError("a request needs a prompt, and a limit of 0 or more")
        if self.num_draft_tokens < 0 or self.min_accepted < 1:
            raise ValueError("num_draft_tokens must be 0 or more, min_accepted 1 or more")
        if self.num_draft_tokens and callable(self.allowed):
            raise ValueError("draft tokens need the same allowed ids at every step")
        if self.bias and callable(self.allowed):
            raise ValueError("a bias needs the same allowed ids at every step")

    @property
    def guided(self) -> bool:
        return self.unconditional is not None and (self.guidance != 1 or self.contrast > 0)

    @property
    def rows(self) -> int:
        """Sequences of a forward pass: two with guidance, otherwise one."""
        return 2 if self.guided else 1

    def after(self, ids: Sequence[int]) -> Ranges:
        """The ids that may follow those drafted so far; none when the draft is done."""
        if len(ids) >= self.limit or (ids and ids[-1] == self.stop):
            return ()
        return self.allowed(ids) if callable(self.allowed) else self.allowed


def id_at(ranges: Ranges, column: int) -> int:
    """The id of a column of logits over ``ranges``."""
    for allowed in ranges:
        if column < len(allowed):
            return allowed[column]
        column -= len(allowed)
    raise IndexError(column)
