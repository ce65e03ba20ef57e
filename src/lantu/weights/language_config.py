"""The entry "lantu" of a language model's config.json: its id space, and the pictures that it draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.tokens.vocabulary import GUIDANCE_SCALES, MAX_CODES, MAX_DEPTH, MAX_SIDE, Vocabulary
from lantu.weights.architecture import MAX_IDS, WHERE
from lantu.weights.arrays import read_config

MAX_GRIDS = 256
DTYPES = ("bfloat16", "float16", "float32")  # of published weights


@dataclass(frozen=True)
class DrawingConfig:
    """The entry "lantu" of a language model's config.json.

    Attributes:
        grid: height and width in codes of the pictures it was trained on.
        grids: those of all shapes that they had, ``grid`` first.
        guidance: guidance scales that were distilled into the model.
        learnt: abilities other than drawing and captioning.
        tokenizer: digest of the image tokenizer whose codes it learnt; "" if its config doesn't say.
    """

    vocabulary: Vocabulary
    grid: tuple[int, int]
    guidance: tuple[float, ...]
    learnt: tuple[str, ...]
    grids: tuple[tuple[int, int], ...]
    tokenizer: str = ""


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
    return drawing_config(read_config(folder)).grid


def read_guidance_scales(folder: str | Path) -> tuple[float, ...]:
    """The guidance scales that were distilled into a model, which then needs no unconditional pass."""
    return guidance_scales_of(read_config(folder))


def drawing_config(config: Mapping[str, Any]) -> DrawingConfig:
    """The entry of a language model's config.

    Raises:
        ModelError: it is missing, or a number is out of range.
    """
    fields = drawing_fields(config)
    grid = fields.wholes("grid", 1, MAX_SIDE)
    if len(grid) != 2:
        fields.refuse("grid", "a height and a width")
    learnt = fields.texts("learnt") if fields.given("learnt") else ()
    origin_of(config)
    grids = grids_of(fields, (grid[0], grid[1]))
    tokenizer = config["lantu"].get("tokenizer", "")
    known = tokenizer if isinstance(tokenizer, str) else ""
    return DrawingConfig(vocabulary_of(config), grids[0], guidance_scales_of(config), learnt, grids, known)


def grids_of(fields: Fields, grid: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The entry "grids", heights and widths one after the other; ``grid`` alone where there is none.

    Raises:
        ModelError: they are no pairs, too many, or don't begin with ``grid``.
    """
    if not fields.given("grids"):
        return (grid,)
    sides = fields.wholes("grids", 1, MAX_SIDE)
    grids = tuple(zip(sides[::2], sides[1::2], strict=False))
    if len(sides) % 2 or not 1 <= len(grids) <= MAX_GRIDS or grids[0] != grid or len(set(grids)) < len(grids):
        fields.refuse("grids", f"different heights and widths, one after the other, {grid[0]} and {grid[1]} first")
    return grids


def vocabulary_of(config: Mapping[str, Any]) -> Vocabulary:
    """``read_vocabulary`` of a config. Raises ModelError like ``drawing_config``."""
    fields = drawing_fields(config)
    depth = fields.whole("depth", 1, MAX_DEPTH) if fields.given("depth") else 1
    codes = fields.whole("codebook_size", 2, MAX_CODES)
    if codes % depth:
        fields.refuse("depth", f"a divisor of codebook_size {codes}")
    return Vocabulary(fields.whole("text_size", 256, MAX_IDS), codes, depth)


def guidance_scales_of(config: Mapping[str, Any]) -> tuple[float, ...]:
    """``read_guidance_scales`` of a config; none if the model doesn't draw.

    Raises:
        ModelError: one is out of range.
    """
    if "lantu" not in config:
        return ()
    fields = drawing_fields(config)
    scales = fields.reals("guidance", 1, 100) if fields.given("guidance") else ()
    if len(set(scales)) != len(scales) or not set(scales) <= set(GUIDANCE_SCALES):
        fields.refuse("guidance", f"different ones of {', '.join(f'{each:g}' for each in GUIDANCE_SCALES)}")
    return scales


def is_adopted(config: Mapping[str, Any]) -> bool:
    """Whether a language model was pretrained by others, so that text tokenizer and special tokens are its own."""
    entry = config.get("lantu")
    return isinstance(entry, Mapping) and "adopted" in entry


def origin_of(config: Mapping[str, Any]) -> Mapping[str, str]:
    """What is recorded of the pretrained model: "source", "sha256", "licence", "dtype"; {} if there is none.

    Raises:
        ModelError: it is something else.
    """
    if not is_adopted(config):
        return {}
    where = f'"adopted" in {WHERE}'
    entry = config["lantu"]["adopted"]
    if not isinstance(entry, Mapping) or not all(isinstance(value, str) for value in entry.values()):
        raise ModelError(f"{where} is not a map of texts", "fetch the model again, or adopt it again")
    Fields(entry, where).one_of("dtype", DTYPES)
    return entry


def drawing_fields(config: Mapping[str, Any]) -> Fields:
    """The fields of the entry "lantu", to be read with checks."""
    entry = config.get("lantu")
    if not isinstance(entry, Mapping):
        raise ModelError(
            "the language model has no image codes", "adopt it first (lantu adopt language), or give one that draws"
        )
    return Fields(entry, f'"lantu" in {WHERE}')
