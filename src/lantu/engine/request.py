"""What the engine is asked for. What the ids mean is not known here: which of them may come next arrives with it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Ranges = tuple[range, ...]


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
PrefixKey = tuple[int, ...] | Embeddings


def prefix_key(prompt: Prompt) -> PrefixKey:
    """What identifies a prompt in the prefix cache."""
    return prompt if isinstance(prompt, Embeddings) else tuple(prompt)


@dataclass(frozen=True)
class Request:
    """Something to go on with.

    Attributes:
        prefix: the prompt, ids or embeddings (N, D) float32.
        allowed: ids that may come next: the same ranges at every step, or a function of the ids drawn so far, which
            ends the draft by allowing none.
        limit: ids to draw at most.
        stop: an id that ends the draft; it is still returned.
        seed: decides every draw, whatever else is drafted.
        unconditional: the prefix without the prompt, for guidance; ids or embeddings.
        guidance: 1 is off; above 1 what the prompt makes likelier becomes likelier still.
        temperature, top_k, top_p, contrast: see ``lantu.kernels.Choice``.
        num_draft_tokens: ids that are guessed after the next one and verified in the same forward pass, see
            ``engine.Job``.
        min_accepted: ids that each pass accepts even where its guesses were wrong; above 1 the draft is not exact.
        bias: what is added to the logits of the ids that may come next, a function of those drawn so far: what
            something beside the prompt makes of them. (ids) float32; the same ids at every place.
        stride: ids for which a bias is computed together; guesses don't reach into the next of them, whose bias would
            be of what is only guessed. 0 for any.
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
    bias: Callable[[Sequence[int]], Any] | None = field(default=None, compare=False)
    stride: int = 0

    def __post_init__(self):
        for name in ("prefix", "unconditional"):
            if isinstance(vectors := getattr(self, name), np.ndarray) and vectors.ndim == 2:
                object.__setattr__(self, name, Embeddings(vectors))
        if not len(self.prefix) or self.limit < 0:
            raise ValueError("a request needs a prefix, and a limit that is not negative")
        if self.num_draft_tokens < 0 or self.min_accepted < 1:
            raise ValueError("a request can't guess less than nothing")
        if self.num_draft_tokens and callable(self.allowed):
            raise ValueError("ids that depend on one another can't be guessed ahead")
        if self.bias and callable(self.allowed):
            raise ValueError("a bias is of ids that are the same at every place")

    @property
    def prefix_ids(self) -> Sequence[int]:
        """The prefix where it is given as ids. Raises ValueError where it is given as embeddings."""
        if isinstance(self.prefix, Embeddings):
            raise ValueError("the prefix is embeddings, not ids")
        return self.prefix

    @property
    def guided(self) -> bool:
        return self.unconditional is not None and (self.guidance != 1 or self.contrast > 0)

    @property
    def rows(self) -> int:
        """Rows of a forward pass that it takes: two when it is guided, which are never parted."""
        return 2 if self.guided else 1

    def after(self, ids: Sequence[int]) -> Ranges:
        """What may follow the ids drawn so far; nothing when the draft is done."""
        if len(ids) >= self.limit or (ids and ids[-1] == self.stop):
            return ()
        return self.allowed(ids) if callable(self.allowed) else self.allowed


def id_at(ranges: Ranges, column: int) -> int:
    """The id that a column of logits over ``ranges`` stands for."""
    for allowed in ranges:
        if column < len(allowed):
            return allowed[column]
        column -= len(allowed)
    raise IndexError(column)
