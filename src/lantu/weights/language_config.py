"""The entry "lantu" of a language model's config.json: its ids, and the pictures that it draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.tokens.vocabulary import MAX_SIDE, MOST_CODES, STRENGTHS, Vocabulary
from lantu.weights.architecture import MOST_IDS, WHERE
from lantu.weights.arrays import read_config


@dataclass(frozen=True)
class Drawing:
    """The entry "lantu" of a language model's config.json.

    Attributes:
        grid: height and width in codes of the pictures it was trained on.
        guidance: scales that were distilled into the model.
        learnt: abilities other than drawing and captioning.
    """

    vocabulary: Vocabulary
    grid: tuple[int, int]
    guidance: tuple[float, ...]
    learnt: tuple[str, ...]


def read_vocabulary(folder: str | Path) -> Vocabulary:
    """The vocabulary of a language model's directory.

    Raises:
        ModelError: the model doesn't draw.
    """
    return vocabulary_of(read_config(folder))


def read_grid(folder: str | Path) -> tuple[int, int]:
    """Height and width in codes of the pictures that a model was trained to draw.

    Raises:
        ModelError: the model doesn't draw.
    """
    return drawing(read_config(folder)).grid


def read_strengths(folder: str | Path) -> tuple[float, ...]:
    """The guidance scales that were distilled into a model, which then needs no unconditional pass."""
    return strengths_of(read_config(folder))


def drawing(config: Mapping[str, Any]) -> Drawing:
    """The entry of a language model's config.

    Raises:
        ModelError: it is missing, or a number is out of range.
    """
    fields = drawing_fields(config)
    grid = fields.wholes("grid", 1, MAX_SIDE)
    if len(grid) != 2:
        fields.refuse("grid", "a height and a width")
    learnt = fields.texts("learnt") if fields.given("learnt") else ()
    return Drawing(vocabulary_of(config), (grid[0], grid[1]), strengths_of(config), learnt)


def vocabulary_of(config: Mapping[str, Any]) -> Vocabulary:
    """``read_vocabulary`` of a config. Raises ModelError like ``drawing``."""
    fields = drawing_fields(config)
    return Vocabulary(fields.whole("text_size", 256, MOST_IDS), fields.whole("codebook_size", 2, MOST_CODES))


def strengths_of(config: Mapping[str, Any]) -> tuple[float, ...]:
    """``read_strengths`` of a config; none if the model doesn't draw. Raises ModelError if one is out of range."""
    if "lantu" not in config:
        return ()
    fields = drawing_fields(config)
    strengths = fields.reals("guidance", 1, 100) if fields.given("guidance") else ()
    if len(set(strengths)) != len(strengths) or not set(strengths) <= set(STRENGTHS):
        fields.refuse("guidance", f"different ones of {', '.join(f'{each:g}' for each in STRENGTHS)}")
    return strengths


def drawing_fields(config: Mapping[str, Any]) -> Fields:
    """The fields of the entry."""
    entry = config.get("lantu")
    if not isinstance(entry, Mapping):
        raise ModelError("the language model has no image codes", "adopt it first, or give one that draws")
    return Fields(entry, f'"lantu" in {WHERE}')
