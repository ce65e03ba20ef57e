"""The model families that lantu knows, and which of them a directory belongs to.

Adding a family is a package under ``lantu.models`` and an entry here. Its classes are imported when a model of the
family is first opened, so that a family costs nothing until it is used.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lantu.errors import LantuError, ModelError
from lantu.files.untrusted import read_json, shown
from lantu.models.spec import ModelFolder, Parts

HINT = "give a model directory: lantu models lists the models and the families that can be opened"


@dataclass(frozen=True)
class Family:
    """A kind of model that can be opened.

    Attributes:
        name: what ``lantu models`` calls it.
        classes: ``_class_name`` in model_index.json by which its directories are recognised.
        model_types: ``model_type`` in config.json by which its directories in the published format are recognised.
        folder: its ``ModelFolder``, as "module:class".
        parts: its ``Parts``, as "module:class"; called with the folder, the device and the backend.
        tasks: what its models do.
        licence: of the published weights.
        tokens: codes of a picture.
        sizes: of its pictures, in pixels.
        needs: packages beyond those that drawing with the shipped model needs.
        components: for each part that model_index.json may name, the classes that it may have. The module that is
            written beside a class is where its maker had it, and may have moved since.
    """

    name: str
    folder: str
    parts: str
    tasks: tuple[str, ...]
    licence: str
    tokens: str
    sizes: str
    classes: tuple[str, ...] = ()
    model_types: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    components: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Name, tasks, licence, tokens and sizes, as JSON."""
        return {
            "name": self.name,
            "tasks": list(self.tasks),
            "licence": self.licence,
            "tokens": self.tokens,
            "sizes": self.sizes,
        }


FAMILIES = (
    Family(
        name="lantu",
        folder="lantu.models.lantu.folder:LantuFolder",
        parts="lantu.models.lantu.parts:LantuParts",
        tasks=("draw", "caption", "edit", "chat", "control"),
        licence="that of each model",
        tokens="as trained: 16 to 256",
        sizes="as trained: 64 to 512",
        classes=("lantu.Model",),
        components={
            "tokenizer": ("ImageTokenizer",),
            "language": ("AutoModelForCausalLM",),
            "decoder": ("PixelDecoder", "PretrainedDecoder"),
            "control": ("Control", "ControlNetwork"),
            "refiner": ("PretrainedDecoder",),
        },
    ),
    Family(
        name="masked",
        folder="lantu.models.masked.folder:MaskedFolder",
        parts="lantu.models.masked.parts:MaskedParts",
        tasks=("draw",),
        licence="that of each model",
        tokens="as trained: 16 to 256",
        sizes="as trained: 64 to 512",
        classes=("lantu.MaskedModel",),
        components={
            "tokenizer": ("ImageTokenizer",),
            "language": ("MaskedTransformer",),
            "decoder": ("PixelDecoder", "PretrainedDecoder"),
            "refiner": ("PretrainedDecoder",),
        },
    ),
    Family(
        name="janus",
        folder="lantu.models.janus.folder:JanusFolder",
        parts="lantu.models.janus.parts:JanusParts",
        tasks=("draw", "caption"),
        licence="DeepSeek Model License (code: MIT)",
        tokens="576",
        sizes="384x384",
        model_types=("janus",),
        needs=("torch", "transformers"),
    ),
)


def family_of(path: Path) -> Family:
    """The family that a model directory belongs to.

    A directory without model_index.json and without a known ``model_type`` counts as lantu's own, whose error then says
    what it lacks.

    Raises:
        ModelError: it is of a family that lantu doesn't know.
    """
    index = read(path / "model_index.json")
    if index is not None:
        name = index.get("_class_name", "lantu.Model")
        for family in FAMILIES:
            if name in family.classes:
                return family
        raise ModelError(f"{path} holds a {shown(name)}, which lantu can't open", HINT)
    kind = (read(path / "config.json") or {}).get("model_type")
    return next((family for family in FAMILIES if kind in family.model_types), FAMILIES[0])


def read(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file, or no such object in it: the family's own reader says why."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def open_folder(path: Path) -> ModelFolder:
    """A model directory of any family; no weights are read.

    Raises:
        ModelError: it is no model directory, or not a complete one, or one of its parts is of an unknown class.
    """
    family = family_of(path)
    check_components(family, path)
    return resolve(family.folder)(path)


def check_components(family: Family, path: Path) -> None:
    """Refuse a directory whose index names a class that nothing here computes. Raises ModelError."""
    index = read(path / "model_index.json") or {}
    for part, known in family.components.items():
        named = index.get(part, ["", known[0]])
        if not isinstance(named, list) or len(named) != 2 or named[1] not in known:
            what = f'"{part}" in {path / "model_index.json"} is {shown(named)}, which lantu can\'t open'
            raise ModelError(what, f"known are {', '.join(known)}")


def load_parts(folder: ModelFolder, device: str = "cpu", backend: str = "native") -> Parts:
    """The parts of a model; each is loaded when it is first needed.

    Raises:
        LantuError: a package that its family needs is not installed.
    """
    family = family_of(folder.path)
    missing = [name for name in family.needs if importlib.util.find_spec(name) is None]
    if missing:
        what = f"models of the family {family.name} need {' and '.join(missing)}"
        raise LantuError(what, "pip install 'lantu[train]'")
    return resolve(family.parts)(folder, device, backend)


def resolve(name: str) -> Any:
    """The class behind "module:class"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
