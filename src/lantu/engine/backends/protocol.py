"""The language backend of the engine: forward passes over sequences with KV caches, and sampling of their next ids.

A *row* is one sequence with its KV cache. It *reads* ids: a forward pass computes them and appends them to the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lantu.engine.request import Prompt, Ranges, id_at
from lantu.errors import LantuError


class CachedSequence(Protocol):
    """A row: one sequence with its KV cache and its newest hidden states or logits."""

    @property
    def length(self) -> int:
        """Ids in its KV cache, those of its prefix included."""
        ...


@dataclass(frozen=True)
class Draw:
    """One id to sample.

    Attributes:
        row: the sequence that it continues.
        unconditional: the same sequence without the prompt, for guidance; None without guidance.
        ranges: ids that may be sampled.
        guidance, temperature, top_k, top_p, contrast: see ``lantu.kernels.Choice``.
        uniform: a random number in [0, 1) that decides.
        back: sample after the id that lies so many before the newest of the last pass; 0 for after the newest. Draft
            tokens are verified so.
        bias: (ids in ranges) float32, added to the conditional logits; None for no bias.
    """

    row: Any
    unconditional: Any
    ranges: Ranges
    guidance: float
    temperature: float
    top_k: int
    top_p: float
    uniform: float
    back: int = 0
    contrast: int = 0
    bias: Any = field(default=None, compare=False)


class Backend(Protocol):
    """A language model with KV caches.

    Attributes:
        exact: a row computed in a batch is bit for bit the row computed alone.
        tokens_per_pass: ids of all rows that one pass computes in little more time than a single id; more draft tokens
            do not pay.
    """

    exact: bool
    tokens_per_pass: int

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        ...

    def open(self, capacity: int, prefix: Any = None) -> Any:
        """A new row with a KV cache for ``capacity`` ids, after a prefix that other rows may share.

        The prefix must have been read. From now on it must not be rewound or read further, nor closed while the row is
        open.
        """
        ...

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """The input embeddings of ids, (N, D) float32, to compose a prompt of embeddings from."""
        ...

    def close(self, row: Any) -> None:
        """Free a row's KV cache."""
        ...

    def rewind(self, row: Any, length: int) -> None:
        """Cut a row to its first ``length`` ids, those of its prefix included: drops rejected draft tokens."""
        ...

    def read(
        self, rows: Sequence[Any], ids: Sequence[Prompt], positions: Sequence[np.ndarray | None] | None = None
    ) -> None:
        """One forward pass: append to each row its ids (one or more) or embeddings.

        Args:
            positions: for each row the positions (n, 3) of these ids, time, row and column; None counts on from the
                row's length, on every axis.

        Raises:
            LantuError: positions are given, and the language model's have one axis.
        """
        ...

    def choose(self, draws: Sequence[Draw]) -> list[int]:
        """Sample an id for each draw, after the newest id of its row (of its prefix, while the row is empty).

        With ``back``, after an earlier id of the row's last pass.
        """
        ...


class IdTable(Protocol):
    """Consecutive ids of one kind, text or image codes: their input embedding and their output head.

    A language model has one table or several; the ids of each follow those of the table before it. A family whose
    image codes have an embedding and a head of their own brings a table for them. Arrays are NumPy's on the native
    kernels, tensors on torch. Ids are counted from the first of the table.

    Attributes:
        size: number of ids.
    """

    size: int

    def embed(self, ids_T: Any) -> Any:
        """Ids (T,) int64 → their input embeddings (T, D)."""
        ...

    def logits(self, hidden_RD: Any, ranges: Ranges) -> Any:
        """Hidden states → (R, ids in ranges) float32.

        Args:
            hidden_RD: after the last layer; after the final norm too on torch, where that norm is not fused with the
                head.
        """
        ...


def split(ranges: Ranges, sizes: Sequence[int]) -> list[tuple[int, Ranges]]:
    """Ranges of a model's ids as ranges of its tables' ids, in the same order.

    Args:
        sizes: of the tables.

    Returns:
        for each run of ranges in one table its number and those ranges, counted from the table's first id.

    Raises:
        IndexError: an id lies in no table.
    """
    if len(sizes) == 1:
        return [(0, ranges)]
    runs: list[tuple[int, Ranges]] = []
    for ids in ranges:
        first = 0
        for number, size in enumerate(sizes):
            inside = range(max(ids.start, first) - first, min(ids.stop, first + size) - first)
            if inside:
                before = runs.pop()[1] if runs and runs[-1][0] == number else ()
                runs.append((number, (*before, inside)))
            first += size
        if ids and not 0 <= ids.start < ids.stop <= first:
            raise IndexError(f"{ids} of {first} ids")
    return runs


def check_ids(ranges: Ranges, size: int) -> None:
    """Raise IndexError for ids that a head of ``size`` rows lacks."""
    for ids in ranges:
        if ids and not 0 <= ids.start < ids.stop <= size:
            raise IndexError(f"{ids} of {size} ids")


def check_axes(positions: Sequence[np.ndarray | None] | None, sectioned: bool) -> None:
    """Refuse positions of three axes where the language model has one.

    Raises:
        LantuError: it has one.
    """
    if not sectioned and positions is not None and any(each is not None for each in positions):
        raise LantuError(
            "the language model's positions have one axis, the request's have three", "give it a request without them"
        )


def by_ranges(draws: Sequence[Draw]) -> tuple[list[int], dict[Ranges, list[int]]]:
    """What is to be sampled.

    Returns:
        an id for each draw, final where only that id is allowed, such as the end of a row of codes: it needs no logits;
        and the indices of the other draws, grouped by their ranges: each group's logits are one matrix product.
    """
    ids, groups = [0] * len(draws), {}
    for place, draw in enumerate(draws):
        if sum(map(len, draw.ranges)) == 1:
            ids[place] = id_at(draw.ranges, 0)
        else:
            groups.setdefault(draw.ranges, []).append(place)
    return ids, groups
