"""What computes for the engine: rows that read ids, and ids drawn from where rows have come to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lantu.engine.request import Ranges


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
    vocabulary_size: int

    def open(self, capacity: int, prefix: Any = None) -> Any:
        """A row with room for exactly so many ids, behind a prefix that other rows may share.

        The prefix must have been read, and must not be closed or read further while the row lives.
        """
        ...

    def close(self, row: Any) -> None:
        """Give a row's room back."""
        ...

    def rewind(self, row: Any, length: int) -> None:
        """Forget what a row has read beyond so many ids, those of its prefix included."""
        ...

    def read(self, rows: Sequence[Any], ids: Sequence[Sequence[int]]) -> None:
        """Let each row read its ids, one or more, in one forward pass."""
        ...

    def choose(self, draws: Sequence[Draw]) -> list[int]:
        """Draw an id for each, after what its row has read last (for a row that has read nothing, its prefix).

        With ``back``, after one of the ids before, but of the last read alone.
        """
        ...


def by_ranges(draws: Sequence[Draw]) -> dict[Ranges, list[int]]:
    """The places of those that draw from the same ids, whose logits are had together."""
    groups: dict[Ranges, list[int]] = {}
    for place, draw in enumerate(draws):
        groups.setdefault(draw.ranges, []).append(place)
    return groups
