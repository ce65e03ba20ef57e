"""Finds the folder of a trained part, for every option and setting that names one."""

from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files import expand
from lantu.models.hub import is_id, locate
from lantu.weights.arrays import read_config
from lantu.weights.names import PRETRAINED, PRETRAINED_CONTROL

BEGINNINGS = ("patches", "noise")  # values of a tokenizer's ``start`` that name no part


def part_folder(source: str | Path, part: str) -> Path:
    """The exported part of a run, the part of a model directory (or of a model by name or hub id), or the
    folder itself.

    Args:
        part: "tokenizer", "language", "decoder" or "control".

    Raises:
        ModelError: it is none of these, or holds another part.
    """
    folder = expand(source)
    if not folder.exists() and (len(folder.parts) == 1 or is_id(str(source))):
        folder = locate(source)
    for place in (folder / "model", folder / part, folder):
        if (place / "config.json").is_file() and has_weights(place):
            kind = kind_of(read_config(place))
            if kind not in (part, ""):
                raise ModelError(f"{source} holds a {kind}, not a {part}", f"name a run or a folder of a {part}")
            return place
    raise ModelError(
        f"no trained {part} in {source}", "name a finished run of `lantu train`, a model, or a part's folder"
    )


def has_weights(place: Path) -> bool:
    """Whether a folder holds weights; a pretrained decoder and its control have them in folders of their own."""
    return any(any(place.glob(f"{inner}*.safetensors")) for inner in ("", "adapter/", "controlnet/"))


def kind_of(config: dict[str, Any]) -> str:
    """The part that a config.json belongs to; "" if unknown."""
    if "quantizer" in config:
        return "tokenizer"
    if "strengths" in config:
        return "control"
    if "model_type" in config:
        return "language"
    if config.get("_class_name") in (PRETRAINED, PRETRAINED_CONTROL):
        return "decoder" if config["_class_name"] == PRETRAINED else "control"
    return "decoder" if {"patch", "width", "layers", "codebook_size"} <= config.keys() else ""


def beside(folder: Path, part: str) -> Path:
    """The place of another part in the model that a part's folder belongs to.

    Raises:
        ModelError: it belongs to no model.
    """
    if not (folder.parent / "model_index.json").is_file():
        raise ModelError(f"no {part} beside {folder}", f"name one: --set {part}=DIR")
    return folder.parent / part
