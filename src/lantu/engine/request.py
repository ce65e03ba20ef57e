"""A request to the engine: a prompt, the ids allowed at each step, and sampling parameters.

Nothing here knows what an id means.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Ranges = tuple[range, ...]
MAX_POSITION = (1 << 17) - 1  # a table of rotary angles is as long


@dataclass(frozen=True)
class InTurn:
    """Ids that may come next by turns: those of the first ranges, then of the second, and after the last anew."""

    turns: tuple[Ranges, ...]

    def __call__(self, ids: Sequence[int]) -> Ranges:
        return self.turns[len(ids) % len(self.turns)]


class Embeddings:
    """A prompt given as vectors instead of ids, for example what an encoder of pictures computes.

    Equal vectors are equal prompts, so the engine's prefix cache finds them again.

    Args:
        vectors_ND: (N, D) float32, one vector a position.

    Raises:
        ValueError: there are none, or they are not a matrix.
    """

    __slots__ = ("key", "vectors_ND")

    def __init__(self, vectors_ND: np.ndarray):
        self.vectors_ND = np.array(vectors_ND, np.float32, order="C")
        if self.vectors_ND.ndim != 2 or not self.vectors_ND.size:
            raise ValueError(f"embeddings of a prompt must be (N, D), not {self.vectors_ND.shape}")
        self.vectors_ND.setflags(write=False)
        self.key = (self.vectors_ND.shape, hashlib.sha256(self.vectors_ND.data).digest())

    def __len__(self) -> int:
        return len(self.vectors_ND)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embeddings) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


Prompt = Sequence[int] | Embeddings
PrefixKey = tuple[int, ...] | Embeddings | tuple[tuple[int, ...] | Embeddings, bytes]


def prefix_key(prompt: Prompt, positions_N3: np.ndarray | None = None) -> PrefixKey:
    """What identifies a prompt, at its positions, in the prefix cache."""
    key = prompt if isinstance(prompt, Embeddings) else tuple(prompt)
    return key if positions_N3 is None else (key, positions_N3[: len(prompt)].tobytes())


@dataclass(frozen=True)
class Request:
    """A prompt to continue.

    Attributes:
        prefix: the prompt, ids or embeddings (N, D) float32.
        allowed: ids that may come next: the same ranges at every step, ranges ``InTurn``, or a function of the ids
            drafted so far, which ends the draft by allowing none.
        limit: maximum number of ids.
        stop: an id that ends the draft; it is included.
        seed: of the draft, which does not depend on the requests drafted beside it.
        unconditional: the unconditional prompt, for guidance; ids or embeddings.
        guidance: guidance scale (classifier-free guidance); 1 is off.
        temperature, top_k, top_p, contrast: see ``lantu.kernels.Choice``.
        num_draft_tokens: draft tokens verified in each forward pass after the newest id, see
            ``engine.Job``.
        min_accepted: ids that each pass accepts even where draft tokens were wrong; above 1 the draft is not exact.
        passes: forward passes in which all ids are drafted, by a drafter of many ids a pass; 0 for as many as its
            model is made for. Next-token drafting takes no notice.
        given: ids that are known from the start, as many as the limit, negative where one is wanted; () where all are.
            Only drafters of many ids a pass take any.
        bias: logits processor: what is added to the logits of the allowed ids, (ids) float32, as a function of the ids
            drafted so far. The allowed ids must be the same at every step.
        stride: number of ids whose biases are computed together. Draft tokens stop at the end of a stride, because the
            next biases depend on the ids before it. 0 for no limit.
        row_end: ids that the model reads after every ``stride`` drafted ones, as between the rows of a picture. They
            are part of the sequence, not of the draft.
        positions: (N, 3) int64, time, row and column of each id of the prefix and of the draft, whose last id may be
            left out, for language models with positions of three axes (m-RoPE); None counts 0, 1, 2, … on every axis.
        unconditional_positions: the same for the unconditional prompt.
    """

    prefix: Prompt
    allowed: Ranges | Callable[[Sequence[int]], Ranges]
    limit: int
    stop: int | None = None
    seed: int = 0
    unconditional: Prompt | None = None
    guidance: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    contrast: int = 0
    num_draft_tokens: int = 0
    min_accepted: int = 1
    passes: int = 0
    given: tuple[Any, ...] = ()
    bias: Callable[[Sequence[int]], Any] | None = field(default=None, compare=False)
    stride: int = 0
    row_end: tuple[int, ...] = ()
    positions: np.ndarray | None = field(default=None, compare=False)
    unconditional_positions: np.ndarray | None = field(default=None, compare=False)

    def __post_init__(self):
        for name in ("prefix", "unconditional"):
            if isinstance(vectors := getattr(self, name), np.ndarray) and vectors.ndim == 2:
                object.__setattr__(self, name, Embeddings(vectors))
        if not len(self.prefix) or self.limit < 0:
            raise ValueError("a request needs a prompt, and a limit of 0 or more")
        if self.num_draft_tokens < 0 or self.passes < 0 or self.min_accepted < 1:
            raise ValueError("num_draft_tokens and passes must be 0 or more, min_accepted 1 or more")
        if self.given and len(self.given) != self.limit:
            raise ValueError(f"{len(self.given)} given ids of {self.limit}")
        if self.num_draft_tokens and callable(self.allowed) and not isinstance(self.allowed, InTurn):
            raise ValueError("draft tokens need allowed ids that don't depend on the ids before them")
        if self.bias and callable(self.allowed):
            raise ValueError("a bias needs the same allowed ids at every step")
        if self.row_end and not self.stride:
            raise ValueError("row_end needs a stride, the length of a row")
        if self.positions is not None or self.unconditional_positions is not None:
            self.check_positions()

    def check_positions(self) -> None:
        """Take positions as int64. Raises ValueError where they are not those of the prompts and the draft."""
        if self.positions is None or (self.guided and self.unconditional_positions is None):
            raise ValueError("positions must be given for the prefix, and for the unconditional prompt if there is one")
        for name, prompt in (("positions", self.prefix), ("unconditional_positions", self.unconditional)):
            if (given := getattr(self, name)) is None or prompt is None:
                continue
            positions_N3 = np.ascontiguousarray(given, np.int64)
            least = len(prompt) + max(0, self.limit - 1)
            if positions_N3.ndim != 2 or positions_N3.shape[1] != 3 or len(positions_N3) < least:
                raise ValueError(f"{name} must be ({least} or more, 3), not {positions_N3.shape}")
            if positions_N3.min() < 0 or positions_N3.max() > MAX_POSITION:
                raise ValueError(f"{name} must be from 0 to {MAX_POSITION}")
            object.__setattr__(self, name, positions_N3)

    @property
    def sides(self) -> "list[tuple[Prompt, np.ndarray | None]]":
        """The prompt, and with guidance the unconditional one, each with the positions of its sequence."""
        found: list[tuple[Prompt, np.ndarray | None]] = [(self.prefix, self.positions)]
        if self.guided and self.unconditional is not None:
            found.append((self.unconditional, self.unconditional_positions))
        return found

    @property
    def prefix_ids(self) -> Sequence[int]:
        """The prefix where it is given as ids. Raises ValueError where it is given as embeddings."""
        if isinstance(self.prefix, Embeddings):
            raise ValueError("the prefix is embeddings, not ids")
        return self.prefix

    @property
    def unconditional_ids(self) -> Sequence[int]:
        """The unconditional prompt where it is given as ids. Raises ValueError where it is given as embeddings."""
        if isinstance(self.unconditional, Embeddings):
            raise ValueError("the unconditional prompt is embeddings, not ids")
        return self.unconditional or ()

    @property
    def guided(self) -> bool:
        """Whether it needs the unconditional prompt."""
        return self.unconditional is not None and (self.guidance != 1 or self.contrast > 0)

    @property
    def rows(self) -> int:
        """Sequences of a forward pass: two with guidance, otherwise one."""
        return 2 if self.guided else 1

    @property
    def capacity(self) -> int:
        """Ids behind the prefix that a KV cache takes: all that are drafted but the last, and the ends of rows."""
        read = self.limit - 1
        return read + (read // self.stride * len(self.row_end) if self.row_end else 0)

    def read_as(self, ids: Sequence[int], start: int) -> list[int]:
        """Drafted ids as the model reads them, with the ends of rows.

        Args:
            start: number of ids that were drafted before them.
        """
        if not self.row_end:
            return list(ids)
        read: list[int] = []
        for place, id_ in enumerate(ids, start + 1):
            read += (id_, *self.row_end) if place % self.stride == 0 else (id_,)
        return read

    def after(self, ids: Sequence[int]) -> Ranges:
        """The ids that may follow those drafted so far; none when the draft is done."""
        if len(ids) >= self.limit or (ids and ids[-1] == self.stop):
            return ()
        return self.allowed(ids) if callable(self.allowed) else self.allowed


def shortened(request: Request, most: int | None) -> Request:
    """A request of at most so many ids, and of one at least; as it is for None."""
    return request if most is None else replace(request, limit=max(1, min(most, request.limit)))


def id_at(ranges: Ranges, column: int) -> int:
    """The id of a column of logits over ``ranges``."""
    for allowed in ranges:
        if column < len(allowed):
            return allowed[column]
        column -= len(allowed)
    raise IndexError(column)
