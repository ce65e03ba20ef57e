"""Finds the folder of a trained part, for every option and setting that names one."""

from pathlib import Path

from lantu.errors import ModelError, RecipeError
from lantu.files import expand
from lantu.models import registry
from lantu.models.hub import is_id, locate
from lantu.models.recognising import configured
from lantu.weights.arrays import read_config
from lantu.weights.names import part_of

BEGINNINGS = ("patches", "noise")  # values of a tokenizer's ``start`` that name no part


def part_folder(source: str | Path, part: str) -> Path:
    """The exported part of a run, the part of a model directory (or of a model by name or hub id), or the
    folder itself.

    Args:
        part: "tokenizer", "language", "decoder", "control" or "upscaler".

    Raises:
        ModelError: it is none of these, or holds another part.
    """
    folder = expand(source)
    if not folder.exists() and (len(folder.parts) == 1 or is_id(str(source))):
        folder = locate(source)
    for place in (folder / "model", folder / part, folder):
        if (place / "config.json").is_file() and has_weights(place):
            kind = part_of(read_config(place))
            if kind not in (part, ""):
                raise ModelError(f"{source} holds {a(kind)}, not {a(part)}", f"name a run or a folder of {a(part)}")
            if part == "language" and (found := configured(place)) and found.kind != "part":
                raise ModelError(f"{source} is {found.what}, not one that draws", found.then)
            return place
    if found := registry.what(folder):
        raise ModelError(f"{source} is {found.what}, with no trained {part}", found.then)
    raise ModelError(
        f"no trained {part} in {source}", "name a finished run of `lantu train`, a model, or a part's folder"
    )


def a(part: str) -> str:
    """The name of a part with its article."""
    return f"an {part}" if part[0] in "aeiou" else f"a {part}"


def autoencoder_folder(source: str | Path) -> Path:
    """The folder of the autoencoder that a recipe names: of a run, or one of diffusers' or of the TAESD family.

    Raises:
        RecipeError: it names none.
        ModelError: there is none.
    """
    if not str(source):
        hint = "--set autoencoder=RUN of `lantu train rival --recipe autoencoder`, or a folder of one of diffusers'"
        raise RecipeError("no autoencoder whose latents are denoised", hint)
    place = expand(source)
    for folder in (place / "model", place):
        if any(folder.glob("*.safetensors")):
            return folder
    raise ModelError(f"no autoencoder in {source}", "name a finished run, or a folder of one of diffusers'")


def has_weights(place: Path) -> bool:
    """Whether a folder holds weights; a pretrained decoder and its control have them in folders of their own."""
    return any(any(place.glob(f"{inner}*.safetensors")) for inner in ("", "adapter/", "controlnet/"))


def beside(folder: Path, part: str) -> Path:
    """The place of another part in the model that a part's folder belongs to.

    Raises:
        ModelError: it belongs to no model.
    """
    if not (folder.parent / "model_index.json").is_file():
        raise ModelError(f"no {part} beside {folder}", f"name one: --set {part}=DIR")
    return folder.parent / part
