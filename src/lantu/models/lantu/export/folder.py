"""Writes a model as a folder that diffusers opens where lantu is not installed.

DIR/
  model_index.json                  the class of each component, the ids of special tokens, the sampling parameters
  pipeline.py                       LantuPipeline
  language/ tokenizer/              the language model's own directory, split in two
  decoder/ scheduler/ prompts/      with the module of their class: lantu_decoder.py, lantu_scheduler.py, prompts.py
  upscaler/                         where the model has one, with lantu_upscaler.py
  README.md                         the model's card
"""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from lantu import files
from lantu.errors import TRAINING, LantuError, ModelError
from lantu.files import FolderKind, replacing_folder
from lantu.files.untrusted import check_regular
from lantu.models.lantu import components
from lantu.models.lantu.directory import UPSCALER
from lantu.models.lantu.folder import LantuFolder, own
from lantu.models.lantu.parts import LantuParts
from lantu.models.spec import ModelFolder
from lantu.tokens import prompts
from lantu.tokens.prompts import Prompts
from lantu.tokens.vocabulary import Vocabulary
from lantu.tokens.words import DETERMINERS, ENGLISH
from lantu.weights.language_config import is_adopted

SAMPLERS = {"euler": "euler", "flow-euler": "euler", "heun": "heun", "consistency": "consistency"}
DEFAULTS = ("guidance", "temperature", "top_k", "top_p", "steps", "render_guidance")  # of a call
PIPELINE = ["pipeline", "LantuPipeline"]
HERE = Path(__file__).parent
CODE = {
    "pipeline.py": HERE / "pipeline.py",
    "decoder/lantu_decoder.py": HERE / "lantu_decoder.py",
    "scheduler/lantu_scheduler.py": HERE / "lantu_scheduler.py",
    "prompts/prompts.py": Path(prompts.__file__),
}
UPSCALER_CODE = {"upscaler/lantu_upscaler.py": HERE / "lantu_upscaler.py"}
SHARDS = ("diffusion_pytorch_model*.safetensors", "diffusion_pytorch_model.safetensors.index.json", "config.json")
FOLDER_KIND = FolderKind(
    "a model for diffusers",
    ("model_index.json",),
    (
        *("model_index.json", "README.md", "scheduler/scheduler_config.json", "prompts/prompts.json"),
        *(*CODE, *UPSCALER_CODE),
        *(f"{part}/{name}" for part in ("decoder", "upscaler") for name in SHARDS),
        *files.WEIGHTS.within("language"),
        *("tokenizer/*.json", "tokenizer/*.txt", "tokenizer/*.model", "tokenizer/*.jinja"),
    ),
    ("_class_name", PIPELINE),
)


def export(folder: ModelFolder, out: str | Path) -> Path:
    """Write the folder.

    Raises:
        LantuError: the model is of another family, has a sampler that isn't exported, or a package is missing.
        DiskError: ``out`` can't be written, or holds other things.
    """
    parts = check(folder)
    model = parts.folder
    files.check_apart(out, {"model": model.path})
    with replacing_folder(out, FOLDER_KIND) as temporary, files.writing(Path(out)):
        write_language(model.path / "language", temporary)
        write_decoder(model, temporary)
        lexicon = parts.layout.lexicon
        emoji, others = (lexicon.emoji, lexicon.related["emoji"]) if lexicon else ({}, {})
        plain = is_adopted(model.read("language/config.json"))
        counts = (lexicon.counts if lexicon else 0) or 4
        Prompts(emoji, lambda: others, ENGLISH, DETERMINERS, plain, counts).save_pretrained(temporary / "prompts")
        write_upscaler(model, temporary)
        for name, source in {**CODE, **(UPSCALER_CODE if model.upscaled else {})}.items():
            shutil.copyfile(source, temporary / name)
        if (model.path / "README.md").is_file():
            shutil.copyfile(model.path / "README.md", temporary / "README.md")
        files.write_json(temporary / "model_index.json", index_of(model, parts))
    return Path(out)


def check(folder: ModelFolder) -> LantuParts:
    """The model's parts, if it can be exported. Raises LantuError."""
    folder = own(folder, "the export for diffusers", "its publisher's directory is what diffusers or transformers open")
    if type(folder) is not LantuFolder:
        what = f"{folder.name} drafts by masked diffusion, which can't be exported for diffusers"
        raise LantuError(what, "export a next-token model")
    if components.is_pretrained(folder.path / "decoder"):
        what = f"the decoder of {folder.name} is a pretrained model, which isn't exported"
        raise LantuError(what, "export a model with lantu's own decoder")
    if folder.sequence:
        what = f"the codes of {folder.name} are a sequence, which the pipeline for diffusers doesn't render"
        raise LantuError(what, "export a model whose codes are a grid")
    if folder.depth > 1:
        what = f"a cell of {folder.name} has {folder.depth} codes, and the pipeline for diffusers renders one"
        raise LantuError(what, "export a model whose cells are single codes")
    missing = [name for name in ("torch", "transformers", "diffusers") if importlib.util.find_spec(name) is None]
    if missing:
        raise LantuError(f"the export needs {' and '.join(missing)}", TRAINING)
    check_settings(folder)
    return LantuParts(folder.check())


def check_settings(folder: ModelFolder) -> None:
    """Refuse sampling parameters that the pipeline doesn't know. Raises LantuError."""
    if folder.settings.sampler not in SAMPLERS:
        what = f"the sampler {folder.settings.sampler} of {folder.name} isn't exported"
        raise LantuError(what, f'set "sampler" in model_index.json to one of {", ".join(SAMPLERS)}')
    if folder.settings.contrast:
        raise LantuError(f"{folder.name} draws with contrast, which isn't exported", 'set "contrast" to 0')
    if folder.settings.refine:
        raise LantuError(f"{folder.name} draws with a refiner, which isn't exported", 'set "refine" to 0')
    if folder.settings.shots:
        raise LantuError(f"{folder.name} draws with found pictures, which aren't exported", 'set "shots" to 0')


def index_of(folder: LantuFolder, parts: LantuParts) -> dict[str, Any]:
    """The content of model_index.json."""
    height, width = folder.grid
    draw = folder.settings.as_dict()
    return {
        "_class_name": PIPELINE,
        "_diffusers_version": diffusers_version(),
        "language": ["transformers", folder.architecture],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "prompts": ["prompts", "Prompts"],
        "decoder": ["lantu_decoder", "LantuDecoder"],
        "scheduler": ["lantu_scheduler", "LantuScheduler"],
        **({"upscaler": ["lantu_upscaler", "LantuUpscaler"]} if folder.upscaled else {}),
        "ids": ids_of(parts.vocabulary, parts.guidance_scales),
        "grid": {"height": height, "width": width},
        "draw": {name: draw[name] for name in DEFAULTS},
    }


def ids_of(vocabulary: Vocabulary, guidance_scales: tuple[float, ...]) -> dict[str, Any]:
    """Where the pipeline finds special tokens, sides and codes."""
    return {
        "bos": vocabulary.special("bos"),
        "boi": vocabulary.special("boi"),
        "first_side": vocabulary.side(1),
        "first_code": vocabulary.first_code,
        "guidance": {f"{scale:g}": vocabulary.special(f"guidance_{scale:g}") for scale in guidance_scales},
    }


def diffusers_version() -> str:
    """The version that the folder is written for."""
    import diffusers

    return diffusers.__version__


def write_language(source: Path, out: Path) -> None:
    """Copy the language model's directory: weights and configs to language/, the tokenizer's files to tokenizer/."""
    for name in ("language", "tokenizer"):
        (out / name).mkdir(parents=True)
    paths = sorted(path for path in source.iterdir() if path.is_file())
    check_regular(paths)
    for path in paths:
        if files.WEIGHTS.has(Path(path.name)) and not path.name.startswith(("tokenizer", "special_tokens")):
            shutil.copyfile(path, out / "language" / path.name)
        elif path.suffix in (".json", ".txt", ".model", ".jinja"):
            shutil.copyfile(path, out / "tokenizer" / path.name)


def write_decoder(folder: LantuFolder, out: Path) -> None:
    """Write decoder and scheduler as diffusers saves them."""
    from lantu.models.lantu.export.lantu_decoder import LantuDecoder
    from lantu.models.lantu.export.lantu_scheduler import LantuScheduler
    from lantu.weights import manifest, tensors

    config, state = manifest.read("decoder", folder.path / "decoder"), tensors.load(folder.path / "decoder")
    decoder = LantuDecoder(**{name: config[name] for name in ("patch", "width", "layers", "codebook_size")})
    if state.keys() != decoder.state_dict().keys():
        raise ModelError(f"the decoder of {folder.name} is of another kind", "export a model with lantu's own decoder")
    decoder.load_state_dict(state, assign=True)
    decoder.save_pretrained(out / "decoder")
    LantuScheduler(SAMPLERS[folder.settings.sampler]).save_pretrained(out / "scheduler")


def write_upscaler(folder: LantuFolder, out: Path) -> None:
    """Write the upscaler as diffusers saves it; nothing where there is none."""
    if not folder.upscaled:
        return
    from lantu.models.lantu.export.lantu_upscaler import LantuUpscaler
    from lantu.weights import manifest, tensors

    source = folder.path / UPSCALER
    upscaler = LantuUpscaler(**manifest.read("upscaler", source))
    upscaler.load_state_dict(tensors.load(source), assign=True)
    upscaler.save_pretrained(out / "upscaler")
