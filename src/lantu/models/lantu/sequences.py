"""Codes that are no plain grid in a model directory: several a cell (residual codes), or a sequence (1-D tokens).

The codes of a cell stand side by side, so a grid of h by w cells is h by w·depth codes. The codes of a sequence are
written row by row as those of a grid are, but they stand for no places. Where the image tokenizer was trained on
prefixes (nested dropout), the first codes alone make a picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lantu.errors import ModelError
from lantu.tokens.vocabulary import MAX_DEPTH, MAX_SIDE

HINT = "join parts of the same image tokenizer"


@dataclass(frozen=True)
class CodeSequence:
    """The codes of a picture.

    Attributes:
        codes: how many there are.
        fewest: how many of the first ones make a picture; 0 where it takes all.
        cells: that a picture has a side, whatever the number of codes.
    """

    codes: int
    fewest: int
    cells: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns in which the codes are written."""
        return max(1, self.codes // MAX_SIDE), min(self.codes, MAX_SIDE)

    @property
    def canvas(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.cells, self.cells


class SequenceFolder:
    """What a model directory says of its codes' order; a base of ``lantu.models.lantu.folder.LantuFolder``."""

    @property
    def decoder_config(self) -> Mapping[str, Any]:
        """The decoder's config; {} where there is none."""
        raise NotImplementedError

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes."""
        raise NotImplementedError

    @property
    def sequence(self) -> CodeSequence | None:
        """The codes of a picture where they are a sequence; None where they are a grid."""
        return sequence_of(self.decoder_config)

    @property
    def prefixes(self) -> int:
        """See ``lantu.models.spec.ModelFolder``."""
        return self.sequence.fewest or self.sequence.codes if self.sequence else 0

    @property
    def sketches(self) -> bool:
        """The first codes of a sequence make a coarse picture."""
        return bool(self.sequence and self.sequence.fewest)

    @property
    def depth(self) -> int:
        """See ``lantu.models.spec.ModelFolder``."""
        return depth_of(self.decoder_config)

    @property
    def canvas(self) -> tuple[int, int]:
        """Rows and columns of cells of the pictures that it was trained on."""
        return self.cells_of(self.grid)

    def cells_of(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of cells of a picture of h by w codes, or of any number of a sequence."""
        return self.sequence.canvas if self.sequence else (grid[0], grid[1] // self.depth)


def depth_of(config: Mapping[str, Any]) -> int:
    """Codes of a cell, by the config of a tokenizer, a decoder, or what a language model's says of codes."""
    depth = config.get("depth")
    return depth if type(depth) is int and 1 <= depth <= MAX_DEPTH else 1


def sequence_of(decoder: Mapping[str, Any]) -> CodeSequence | None:
    """What a decoder's config says of a sequence; None where its codes are a grid."""
    numbers = [decoder.get(name) for name in ("queries", "nested", "cells")]
    if not numbers[0]:
        return None
    codes, fewest, cells = (number if type(number) is int else 0 for number in numbers)
    return CodeSequence(codes, fewest, cells)


def check_order(tokenizer: Mapping[str, Any], decoder: Mapping[str, Any], levels: int, grid: tuple[int, int]) -> None:
    """Refuse parts that don't write and render the same sequence, or as many codes a cell.

    Args:
        tokenizer, decoder: their configs, each checked by itself.
        levels: codes of a cell, by the language model's config.
        grid: rows and columns of codes, by the language model's config.

    Raises:
        ModelError: they don't.
    """
    depths = {"image tokenizer": depth_of(tokenizer), "decoder": depth_of(decoder), "language model": levels}
    if len(set(depths.values())) > 1:
        facts = ", ".join(f"{part} {depth}" for part, depth in depths.items())
        raise ModelError(f"the parts have different numbers of codes a cell ({facts})", HINT)
    written, sequence = tokenizer.get("queries") or 0, sequence_of(decoder)
    rendered = sequence.codes if sequence else 0
    if written != rendered:
        kinds = [f"a sequence of {count} codes" if count else "grids of codes" for count in (written, rendered)]
        raise ModelError(f"the image tokenizer writes {kinds[0]}, the decoder renders {kinds[1]}", HINT)
    if sequence is None:
        return
    cells = tokenizer["size"] // tokenizer["patch"]
    if sequence.cells != cells:
        raise ModelError(f"the decoder paints {sequence.cells} cells a side, the image tokenizer reads {cells}", HINT)
    if grid != sequence.grid:
        what = "the language model draws {}x{} codes, the image tokenizer writes {}x{}"
        raise ModelError(what.format(*grid[::-1], *sequence.grid[::-1]), HINT)
