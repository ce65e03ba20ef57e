"""What a language model's directory says of its ids and of the pictures that it draws: an entry of config.json."""

from pathlib import Path
from typing import Any

from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import manifest
from lantu.weights.arrays import read_config


def read_vocabulary(folder: str | Path) -> Vocabulary:
    """The vocabulary of a model directory.

    Raises:
        ModelError: it is not a model that draws.
    """
    return vocabulary_of(read_config(folder))


def read_grid(folder: str | Path) -> tuple[int, int]:
    """Height and width in codes of the pictures that a model was trained to draw.

    Raises:
        ModelError: it is not a model that draws.
    """
    return manifest.drawing(read_config(folder)).grid


def read_strengths(folder: str | Path) -> tuple[float, ...]:
    """The strengths of guidance that a model has learnt to apply by itself: one row of it does what else takes two."""
    return strengths_of(read_config(folder))


def strengths_of(config: dict[str, Any]) -> tuple[float, ...]:
    return manifest.strengths_of(config) if "lantu" in config else ()


def vocabulary_of(config: dict[str, Any]) -> Vocabulary:
    return manifest.vocabulary_of(config)
