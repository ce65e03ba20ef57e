"""The entry "lantu" of a language model's config.json: its ids, and the pictures that it draws."""

from pathlib import Path
from typing import Any

from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import manifest
from lantu.weights.arrays import read_config


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
    return manifest.drawing(read_config(folder)).grid


def read_strengths(folder: str | Path) -> tuple[float, ...]:
    """The guidance scales that were distilled into a model, which then needs no unconditional pass."""
    return strengths_of(read_config(folder))


def strengths_of(config: dict[str, Any]) -> tuple[float, ...]:
    """``read_strengths`` of a config; none if the model doesn't draw."""
    return manifest.strengths_of(config) if "lantu" in config else ()


def vocabulary_of(config: dict[str, Any]) -> Vocabulary:
    """``read_vocabulary`` of a config."""
    return manifest.vocabulary_of(config)
