"""Says what a folder is, where a command takes another kind of folder, and which command takes it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.files.untrusted import read_json, shown
from lantu.weights.names import part_of

INDEX = "model_index.json"
PARTS = {"language": "language model", "tokenizer": "image tokenizer"}  # where a part's name needs a noun


@dataclass(frozen=True)
class Found:
    """What a folder is.

    Attributes:
        kind: "model" of a family that lantu opens, "part" of one, "pipeline" or "component" of diffusers, "language"
            model of transformers, or another "transformer" of it, "run" or "data" of lantu's own.
        what: the same with its article, for messages.
        then: what to do with it.
    """

    kind: str
    what: str
    then: str


def recognised(path: Path) -> Found | None:
    """What a folder is by its JSON files, if it is not the directory of a whole model; None if nothing says so."""
    readers: tuple[Callable[[Path], Found | None], ...] = (pipeline, configured, data)
    return next((found for reader in readers if (found := reader(path))), None)


def pipeline(path: Path) -> Found | None:
    """A pipeline of diffusers."""
    name = read(path / INDEX).get("_class_name")
    if not isinstance(name, str) or name.startswith("lantu."):
        return None
    then = f"make a decoder of it: lantu adopt decoder {path} --tokenizer MODEL -o OUT"
    return Found("pipeline", f"a pipeline of diffusers ({shown(name)})", then)


def configured(path: Path) -> Found | None:
    """What its config.json says."""
    config = read(path / "config.json")
    if "loop" in config:
        then = "join runs to a model: lantu assemble, or name it where a part is wanted: --tokenizer, --start"
        return Found("run", "a run of lantu train", then)
    kind, part, names = config.get("model_type"), part_of(config), config.get("architectures")
    if part == "language" and not draws(config):
        if isinstance(names, list) and any(str(name).endswith("ForCausalLM") for name in names):
            then = f"teach it to draw: lantu adopt language {path} -o OUT"
            return Found("language", f"a language model of transformers ({shown(kind)})", then)
        then = "lantu models lists the families that can be opened"
        return Found("transformer", f"a model of transformers ({shown(kind)}) of no family here", then)
    if part:
        whole = path.resolve().parent
        model = f"give the model: {whole}" if (whole / INDEX).is_file() else "join it with the others: lantu assemble"
        return Found("part", f"a {PARTS.get(part, part)}, a part of a model", model)
    if isinstance(config.get("_class_name"), str):
        what = f"a part of a pipeline of diffusers ({shown(config['_class_name'])})"
        return Found("component", what, "give the pipeline's folder, with model_index.json")
    return None


def draws(config: dict[str, Any]) -> bool:
    """Whether a language model's config.json says that lantu trained it to draw."""
    return isinstance(config.get("lantu"), dict)


def data(path: Path) -> Found | None:
    """A data folder."""
    if not {"splits", "size"} <= read(path / "index.json").keys():
        return None
    return Found("data", "a data folder", f"train with it: lantu train PART --data {path}")


def read(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is none."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}
