"""What a language model's directory says of its ids and of the pictures that it draws: an entry of config.json."""

from pathlib import Path
from typing import Any

from lantu.arrays import read_config
from lantu.errors import ModelError
from lantu.vocabulary import Vocabulary


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
    height, width = entry(read_config(folder), "grid")
    return height, width


def read_strengths(folder: str | Path) -> tuple[float, ...]:
    """The strengths of guidance that a model has learnt to apply by itself: one row of it does what else takes two."""
    return strengths_of(read_config(folder))


def strengths_of(config: dict[str, Any]) -> tuple[float, ...]:
    return tuple(config.get("lantu", {}).get("guidance", ()))


def vocabulary_of(config: dict[str, Any]) -> Vocabulary:
    return Vocabulary(entry(config, "text_size"), entry(config, "codebook_size"))


def entry(config: dict[str, Any], name: str) -> Any:
    """One of lantu's own entries of a config."""
    try:
        return config["lantu"][name]
    except (KeyError, TypeError) as problem:
        raise ModelError("the language model has no image codes", "adopt it first, or give one that draws") from problem
