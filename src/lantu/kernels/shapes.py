"""What a stack of transformer blocks is made of, and what its tokens may look at.

Shapes: T tokens of all sequences together, D width, H heads, G heads of keys and values, K head width, F inner width,
L layers, R rows of logits, V ids. A uint16 array holds bfloat16 numbers, as a file does.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Shape:
    """Sizes of a stack of equal blocks."""

    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    inner: int
    eps: float = 1e-6


@dataclass(frozen=True)
class Layer:
    """The weights of one block, each (out, in) float32 or bfloat16.

    Attributes:
        query_norm, key_norm: (K), or None where queries and keys are not normalised.
        query, key, value: (H·K, D), (G·K, D), (G·K, D).
        out: (D, H·K).
        gate, up, down: (F, D), (F, D), (D, F).
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


class Cache:
    """Keys and values of one sequence, in all layers.

    Attributes:
        memory: as the stack that made it lays it out.
        capacity: places.
        used: places filled, from the first; 0 <= used <= capacity.
    """

    __slots__ = ("capacity", "memory", "used")

    def __init__(self, memory: np.ndarray, capacity: int):
        self.memory, self.capacity, self.used = memory, capacity, 0


@dataclass(frozen=True)
class Segment:
    """New tokens of one sequence.

    Attributes:
        cache: takes their keys and values, after those that it has.
        tokens: how many they are.
        prefix: what stands before the cache; several sequences may share it.
        causal: each sees what stands before it and itself; else each sees all.
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
    """How one id is drawn from logits.

    Attributes:
        row: of the logits.
        unconditional: the row without the prompt, for guidance; -1 for none.
        guidance: logits are ``unconditional + guidance · (row - unconditional)`` (arXiv:2207.12598).
        temperature: 0 takes the likeliest.
        top_k: ids that may be drawn, 0 for all; those equally likely at the edge all stay.
        top_p: the likeliest ids that together hold this share of probability may be drawn (arXiv:1904.09751).
        uniform: in [0, 1); decides.
        contrast: k of contrastive decoding, with an unconditional row (CD-K of CM3Leon, arXiv:2309.02591, equation 3):
            ids that the row finds less likely than a tenth of its k-th likeliest may not be drawn, and the logits of
            the others are ``guidance · (row - unconditional)``. 0 is plain guidance.
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
    """Blocks, one after another."""

    shape: Shape

    def cache(self, capacity: int) -> Cache:
        """Room for so many tokens of one sequence."""
        ...

    def forward(
        self, x_TD: np.ndarray, rotation_2TK: np.ndarray, spans: list[Segment], modulation_L6D: np.ndarray | None = None
    ) -> np.ndarray:
        """Take new tokens through all blocks, and enter them into their caches.

        Args:
            x_TD: float32, the tokens of all spans in order.
            rotation_2TK: (2, T, K/2), cosine and sine of each token's rotary angles (arXiv:2104.09864), whose pairs are
                the first and the second half of a head.
            modulation_L6D: shift, scale and gate of attention, then of feed-forward, in each layer: a norm's result
                becomes ``x · (1 + scale) + shift``, a branch is added ``1 + gate`` times (arXiv:2310.00426).

        Returns:
            (T, D) float32.
        """
        ...


class Linear(Protocol):
    """A matrix, with a norm before it and a bias behind it where there are any."""

    def __call__(self, x_TD: np.ndarray) -> np.ndarray:
        """(T, in) float32 → (T, out) float32."""
        ...


def to_float(values: np.ndarray) -> np.ndarray:
    """float32, of float32 or bfloat16."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(values, np.float32)
