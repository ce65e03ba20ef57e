"""What computes for the engine: rows that read ids, and ids drawn from where rows have come to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lantu.engine.request import Prompt, Ranges


class CachedSequence(Protocol):
    """A sequence that is being read: keys and values of what it has read, and where that led."""

    @property
    def length(self) -> int:
        """Ids read so far, those of its prefix included."""
        ...


@dataclass(frozen=True)
class Draw:
    """One id to be drawn.

    Attributes:
        row: has read all that comes before it.
        unconditional: the same without the prompt; None without guidance.
        ranges: ids that may be drawn.
        guidance, temperature, top_k, top_p, contrast: see ``lantu.kernels.Choice``.
        uniform: in [0, 1), decides.
        back: of the ids that the row read last, so many at the end are not to be known yet.
        bias: (ids in ranges) float32, added to the row's logits; None for nothing.
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
    """A language model that reads.

    Attributes:
        exact: rows that are read together are what each would be alone, bit for bit.
        vocabulary_size: ids.
        at_once: ids of all rows that a pass reads in little more time than one: as many as it pays to guess.
    """

    exact: bool
    at_once: int

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        ...

    def open(self, capacity: int, prefix: Any = None) -> Any:
        """A row with room for exactly so many ids, behind a prefix that other rows may share.

        The prefix must have been read, and must not be closed or read further while the row lives.
        """
        ...

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """(N, D) float32: what the first layer reads of ids, to make a prompt of embeddings with."""
        ...

    def close(self, row: Any) -> None:
        """Give a row's room back."""
        ...

    def rewind(self, row: Any, length: int) -> None:
        """Forget what a row has read beyond so many ids, those of its prefix included."""
        ...

    def read(self, rows: Sequence[Any], ids: Sequence[Prompt]) -> None:
        """Let each row read its ids, one or more, or embeddings, in one forward pass."""
        ...

    def choose(self, draws: Sequence[Draw]) -> list[int]:
        """Draw an id for each, after what its row has read last (for a row that has read nothing, its prefix).

        With ``back``, after one of the ids before, but of the last read alone.
        """
        ...


class IdTable(Protocol):
    """Consecutive ids of one kind, text or image codes: their vectors on the way in, their logits on the way out.

    A language model has one table or several; the ids of each follow those of the table before it. A family whose
    image codes have an embedding and a head of their own brings a table for them. Arrays are NumPy's on the native
    kernels, tensors on torch. Ids are counted from the first of the table.

    Attributes:
        size: number of ids.
    """

    size: int

    def embed(self, ids_T: Any) -> Any:
        """Ids (T,) int64 → (T, D), what the first layer reads."""
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


def by_ranges(draws: Sequence[Draw]) -> dict[Ranges, list[int]]:
    """The places of those that draw from the same ids, whose logits are had together."""
    groups: dict[Ranges, list[int]] = {}
    for place, draw in enumerate(draws):
        groups.setdefault(draw.ranges, []).append(place)
    return groups
