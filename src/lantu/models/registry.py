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

from lantu.errors import TRAINING, LantuError, ModelError
from lantu.files.untrusted import read_json, shown
from lantu.models import memory, terms
from lantu.models.recognising import Found, recognised
from lantu.models.spec import ModelFolder, Parts

HINT = "give a model directory: lantu models lists the models and the families that can be opened"


@dataclass(frozen=True)
class Family:
    """A kind of model that can be opened.

    Attributes:
        name: what ``lantu models`` calls it.
        classes: ``_class_name`` in model_index.json by which its directories are recognised.
        model_types: ``model_type`` in config.json by which its directories in the published format are recognised.
        recognise: whether a directory is one of its, as "module:function"; asked where neither of these says so.
        folder: its ``ModelFolder``, as "module:class".
        parts: its ``Parts``, as "module:class"; called with the folder, the device and the backend.
        tasks: what its models do.
        licence: of the published weights.
        notice: limits of that licence, in a sentence, which is said once per machine; "" for none.
        must_accept: what is unclear about it, where the family is off until the user accepts that; "" elsewhere.
        size: of the published weights; "as published" where there are many.
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
    recognise: str = ""
    needs: tuple[str, ...] = ()
    notice: str = ""
    must_accept: str = ""
    size: str = "as published"
    components: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Name, tasks, licence, size, tokens and sizes, and whether its terms stand in the way, as JSON."""
        return {
            "name": self.name,
            "tasks": list(self.tasks),
            "licence": self.licence,
            "notice": self.must_accept or self.notice,
            "accepted": not self.must_accept or terms.is_accepted(self.name, self.must_accept),
            "size": self.size,
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
        size="that of each model",
        tokens="as trained: 16 to 256",
        sizes="as trained: 64 to 512",
        classes=("lantu.Model",),
        components={
            "tokenizer": ("ImageTokenizer",),
            "language": ("AutoModelForCausalLM",),
            "decoder": ("PixelDecoder", "PretrainedDecoder"),
            "control": ("Control", "ControlNetwork", "PretrainedControl"),
            "upscaler": ("Upscaler",),
            "refiner": ("PretrainedDecoder",),
            "memory_bank": ("MemoryBank",),
        },
    ),
    Family(
        name="masked",
        folder="lantu.models.masked.folder:MaskedFolder",
        parts="lantu.models.masked.parts:MaskedParts",
        tasks=("draw", "edit"),
        licence="that of each model",
        size="that of each model",
        tokens="as trained: 16 to 256",
        sizes="as trained: 64 to 512",
        classes=("lantu.MaskedModel",),
        components={
            "tokenizer": ("ImageTokenizer",),
            "language": ("MaskedTransformer",),
            "decoder": ("PixelDecoder", "PretrainedDecoder"),
            "upscaler": ("Upscaler",),
            "refiner": ("PretrainedDecoder",),
        },
    ),
    Family(
        name="continuous",
        folder="lantu.rivals.continuous.folder:ContinuousFolder",
        parts="lantu.rivals.continuous.parts:ContinuousParts",
        tasks=("draw", "caption", "edit"),
        licence="that of each model",
        size="that of each model",
        tokens="as trained: 16 to 256 vectors",
        sizes="as trained: 64 to 512",
        classes=("lantu.ContinuousModel",),
        components={
            "language": ("AutoModelForCausalLM", "MaskedVectorTransformer"),
            "vectors": ("Vectors",),
            "tokenizer": ("ImageTokenizer",),
            "vision": ("VisionEncoder",),
            "decoder": ("VectorDecoder",),
        },
    ),
    Family(
        name="vq_diffusion",
        folder="lantu.rivals.vq_diffusion.folder:VqDiffusionFolder",
        parts="lantu.rivals.vq_diffusion.parts:VqDiffusionParts",
        tasks=("draw", "edit"),
        licence="that of each model",
        size="that of each model",
        tokens="as trained: 16 to 256",
        sizes="as trained: 64 to 512",
        classes=("lantu.VqDiffusionModel",),
        components={
            "tokenizer": ("ImageTokenizer",),
            "language": ("VqDiffusionTransformer",),
            "decoder": ("PixelDecoder", "PretrainedDecoder"),
        },
    ),
    Family(
        name="glm_image",
        folder="lantu.models.glm_image.folder:GlmImageFolder",
        parts="lantu.models.glm_image.parts:GlmImageParts",
        tasks=("draw",),
        licence="Apache-2.0 (its card: MIT)",
        size="about 35 GB",
        tokens="256, then 576 to 4,096",
        sizes="768 to 2048, multiples of 32",
        classes=("GlmImagePipeline",),
        needs=("torch", "transformers", "diffusers"),
        components={
            "vision_language_encoder": ("GlmImageForConditionalGeneration",),
            "processor": ("GlmImageProcessor",),
            "transformer": ("GlmImageTransformer2DModel",),
            "vae": ("AutoencoderKL",),
            "scheduler": ("FlowMatchEulerDiscreteScheduler",),
            "text_encoder": ("T5EncoderModel",),
            "tokenizer": ("ByT5Tokenizer",),
        },
    ),
    Family(
        name="janus",
        folder="lantu.models.janus.folder:JanusFolder",
        parts="lantu.models.janus.parts:JanusParts",
        tasks=("draw", "caption"),
        licence="DeepSeek Model License (code: MIT)",
        notice="the weights are under the DeepSeek Model License, which allows commercial use; its restrictions of use "
        "bind you and must be passed on (github.com/deepseek-ai/Janus, LICENSE-MODEL)",
        size="4 GB (1B), 15 GB (7B)",
        tokens="576",
        sizes="384x384",
        model_types=("janus",),
        needs=("torch", "transformers"),
    ),
    Family(
        name="emu3",
        folder="lantu.models.emu3.folder:Emu3Folder",
        parts="lantu.models.emu3.parts:Emu3Parts",
        tasks=("draw",),
        licence="Apache-2.0",
        tokens="8100 at 720x720",
        sizes="multiples of 8, about as many pixels as 720x720",
        model_types=("emu3",),
        needs=("torch", "transformers"),
    ),
    Family(
        name="tar",
        folder="lantu.models.tar.folder:TarFolder",
        parts="lantu.models.tar.parts:TarParts",
        tasks=("draw",),
        licence="unclear",
        must_accept="its repository names no licence; it is built on Qwen2.5, and on SANA, which has NVIDIA's terms",
        tokens="729",
        sizes="1024x1024 or 512x512, as its SANA draws",
        recognise="lantu.models.tar.folder:recognise",
        needs=("torch", "transformers", "diffusers"),
    ),
    # Rivals of the paradigm: lantu.rivals
    Family(
        name="pixel-ar",
        folder="lantu.rivals.pixel_ar.folder:PixelFolder",
        parts="lantu.rivals.pixel_ar.parts:PixelParts",
        tasks=("draw", "caption"),
        licence="that of each model",
        size="that of each model",
        tokens="as trained: one a pixel, 1024 for 32x32",
        sizes="as trained: 32 pixels a side, scaled",
        classes=("lantu.PixelModel",),
        components={"language": ("AutoModelForCausalLM",), "palette": ("Palette",)},
    ),
    Family(
        name="text-encoder-diffusion",
        folder="lantu.rivals.latent_diffusion.folder:LatentDiffusionFolder",
        parts="lantu.rivals.latent_diffusion.parts:LatentDiffusionParts",
        tasks=("draw", "edit"),
        licence="that of each model",
        tokens="none: denoising steps",
        sizes="as trained: 64 to 128 of lantu's recipe, 512x512 of Stable Diffusion 1",
        classes=("StableDiffusionPipeline",),
        needs=("torch", "transformers", "diffusers"),
        components={
            "text_encoder": ("CLIPTextModel",),
            "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast"),
            "unet": ("UNet2DConditionModel",),
            "vae": ("AutoencoderKL", "AutoencoderTiny", "TinyAutoencoder"),
        },
    ),
    Family(
        name="plain",  # SimpleAR, Liquid, and what a lantu_layout.json describes
        folder="lantu.models.plain.folder:PlainFolder",
        parts="lantu.models.plain.parts:PlainParts",
        tasks=("draw",),
        licence="that of each model",
        tokens="as described: SimpleAR 4096, Liquid 1024",
        sizes="as described: SimpleAR 1024x1024, Liquid 512x512",
        recognise="lantu.models.plain.known:recognise",
        needs=("torch", "transformers"),
    ),
)


def named(name: str) -> Family:
    """The family of that name. Raises LantuError."""
    for family in FAMILIES:
        if family.name == name:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise LantuError(f"no family of models called {shown(name)}", f"choose one of {known}")


def family_of(path: Path) -> Family:
    """The family that a model directory belongs to.

    A directory that is nothing known counts as lantu's own, whose error then says what it lacks.

    Raises:
        ModelError: it is something else than a model of a known family.
    """
    if family := known_family(path):
        return family
    if found := recognised(path):
        raise ModelError(f"{path} is {found.what}, not a model that draws", found.then)
    if (name := (read(path / "model_index.json") or {}).get("_class_name")) is not None:
        raise ModelError(f"{path} holds a {shown(name)}, which lantu can't open", HINT)
    return FAMILIES[0]


def known_family(path: Path) -> Family | None:
    """The family by what a directory says of itself; None if it is of none."""
    index = read(path / "model_index.json")
    if index is not None:
        name = index.get("_class_name", "lantu.Model")
        return next((family for family in FAMILIES if name in family.classes), None)
    kind = (read(path / "config.json") or {}).get("model_type")
    if family := next((family for family in FAMILIES if kind in family.model_types), None):
        return family
    return next((each for each in FAMILIES if each.recognise and resolve(each.recognise)(path)), None)


def what(path: Path) -> Found | None:
    """What a folder is, a model of a known family included; None if nothing says so."""
    if not (family := known_family(path)):
        return recognised(path)
    return Found("model", f"a model of the family {family.name}", f"draw with it: lantu draw --model {path} PROMPT")


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
        LantuError: a package that its family needs is not installed, the terms of its weights are not accepted, or it
            does not fit into memory.
    """
    family = family_of(folder.path)
    terms.check(family.name, family.must_accept)
    missing = [name for name in family.needs if importlib.util.find_spec(name) is None]
    if missing:
        what = f"models of the family {family.name} need {' and '.join(missing)}"
        raise LantuError(what, TRAINING)
    if backend != "vllm":  # which reserves memory itself
        memory.check(folder, device)
    terms.say(family.name, family.notice)
    return resolve(family.parts)(folder, device, backend)


def resolve(name: str) -> Any:
    """The class behind "module:class"."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
