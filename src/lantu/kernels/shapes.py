"""Weights, KV caches and segments: the arguments of a transformer stack's forward pass.

Shapes: T tokens of all sequences together, D width, H heads, G heads of keys and values, K head width, F inner width,
L layers, R rows of logits, V ids. A uint16 array holds bfloat16 numbers, as in a file.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

MULTIPLE = 16  # of which native code wants widths


@dataclass(frozen=True)
class Shape:
    """Sizes of a stack of identical blocks.

    Attributes:
        activation: of the feed-forward's gate: "silu" (SwiGLU, arXiv:2002.05202), or "gelu" by its tanh approximation
            (arXiv:1606.08415).
    """

    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    inner: int
    eps: float = 1e-6
    activation: str = "silu"


@dataclass(frozen=True)
class Layer:
    """The weights of one block, each (out, in) float32 or bfloat16.

    Attributes:
        query_norm, key_norm: (K), or None if queries and keys are not normalised.
        query, key, value: (H·K, D), (G·K, D), (G·K, D).
        out: (D, H·K).
        gate, up, down: (F, D), (F, D), (D, F).
        query_bias, key_bias, value_bias: (H·K), (G·K), (G·K), or all None.
        attention_post_norm, feed_forward_post_norm: (D), of what the branch adds to its input; or None.
    """

    attention_norm: np.ndarray
    query_norm: np.ndarray | None
    key_norm: np.ndarray | None
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    out: np.ndarray
    feed_forward_norm: np.ndarray
    gate: np.ndarray
    up: np.ndarray
    down: np.ndarray
    query_bias: np.ndarray | None = None
    key_bias: np.ndarray | None = None
    value_bias: np.ndarray | None = None
    attention_post_norm: np.ndarray | None = None
    feed_forward_post_norm: np.ndarray | None = None


class Cache:
    """The KV cache of one sequence: keys and values of all layers.

    Attributes:
        memory: in the layout of the stack that made it.
        capacity: tokens that it has room for.
        used: tokens that it holds; 0 <= used <= capacity.
    """

    __slots__ = ("capacity", "memory", "used")

    def __init__(self, memory: np.ndarray, capacity: int):
        self.memory, self.capacity, self.used = memory, capacity, 0


@dataclass(frozen=True)
class Segment:
    """New tokens of one sequence.

    Attributes:
        cache: their keys and values are appended to it.
        tokens: number of new tokens.
        prefix: cache of the tokens before, which several sequences may share.
        causal: each token attends to itself and to those before it; otherwise to all.
    """

    cache: Cache
    tokens: int
    prefix: Cache | None = None
    causal: bool = True

    def __post_init__(self):
        if self.cache.used + self.tokens > self.cache.capacity:
            raise ValueError(f"{self.cache.used} + {self.tokens} tokens in a cache of {self.cache.capacity}")


@dataclass(frozen=True)
class Choice:
    """How one id is sampled from logits.

    Attributes:
        row: index of the conditional logits.
        unconditional: index of the unconditional logits, for guidance; -1 for none.
        guidance: logits are ``unconditional + guidance · (row - unconditional)`` (arXiv:2207.12598).
        temperature: 0 takes the likeliest id.
        top_k: number of candidates, 0 for all; ties with the last candidate stay.
        top_p: the candidates are the likeliest ids that together have this probability (arXiv:1904.09751).
        uniform: a random number in [0, 1) that decides.
        contrast: k of contrastive decoding in the place of guidance (CD-K of CM3Leon, arXiv:2309.02591, equation 3):
            ids less likely in ``row`` than a tenth of its k-th likeliest are no candidates; the logits of the others
            are ``guidance · (row - unconditional)``. 0 is plain guidance.
    """

    row: int
    unconditional: int = -1
    guidance: float = 1.0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    uniform: float = 0.0
    contrast: int = 0


class TransformerStack(Protocol):
    """Transformer blocks, one after another."""

    shape: Shape

    def cache(self, capacity: int) -> Cache:
        """An empty KV cache for one sequence of so many tokens."""
        ...

    def forward(
        self,
        x_TD: np.ndarray,
        rotation_2TK: np.ndarray,
        segments: list[Segment],
        modulation_L6D: np.ndarray | None = None,
    ) -> np.ndarray:
        """Run new tokens through all blocks and append them to their caches.

        Args:
            x_TD: float32, the tokens of all segments in order.
            rotation_2TK: (2, T, K/2), cosine and sine of each token's rotary angles (arXiv:2104.09864). A pair is one
                number of the first half of a head and one of the second.
            modulation_L6D: shift, scale and gate of attention, then of feed-forward, for each layer: a norm's output
                becomes ``x · (1 + scale) + shift``, a branch's output is multiplied by ``1 + gate`` (arXiv:2310.00426).
                Only without post norms.

        Returns:
            (T, D) float32.
        """
        ...


class Linear(Protocol):
    """A matrix, with an optional norm before it and an optional bias after it."""

    def __call__(self, x_TD: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        """(T, in) float32 → (T, out) float32.

        Args:
            into: a contiguous array of that shape for the result, which saves allocating a large one again and again.
        """
        ...


def to_float(values: np.ndarray) -> np.ndarray:
    """An array of float32 or bfloat16 (as uint16) as float32."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(values, np.float32)


def to_bfloat16(values: np.ndarray | np.float32) -> np.ndarray:
    """Numbers of float32 as bfloat16, in uint16: to nearest, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
