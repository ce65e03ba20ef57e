"""Three trained parts → one model directory."""

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lantu.data.taught import taught_by
from lantu.errors import DataError, ModelError
from lantu.files import replacing, write_json, write_text
from lantu.recipes.budget import budget_of
from lantu.recipes.pictures import origin
from lantu.shelf import CONTROL, ModelFolder, find
from lantu.words import RELATED, WORDS

PARTS = ("tokenizer", "language", "decoder")


def assemble(
    tokenizer: str | Path,
    language: str | Path,
    decoder: str | Path,
    out: str | Path,
    name: str = "",
    licence: str = "",
    card: str | Path | None = None,
    data: str | Path | None = None,
    draw: Mapping[str, Any] | None = None,
    control: str | Path | None = None,
) -> ModelFolder:
    """Put parts together, whole or not at all; an older model in ``out`` is replaced.

    Args:
        tokenizer, language, decoder: runs that ``train`` wrote, or folders of the parts themselves.
        name: of the model; the folder's, if not given.
        licence: of the weights, kept in the model's index.
        card: a Markdown file that becomes README.md.
        data: the data folder it was trained on, whose settings are kept for evaluation, and whose captions say which
            words the model knows (``lantu.words``).
        draw: dials that it draws with by default, see ``lantu.settings.Settings``.
        control: a run of ``train control``, or a control's folder.

    Raises:
        ModelError: a part is missing, or the parts don't speak of the same codes.
        DiskError: it can't be written.
    """
    out = Path(out)
    index = {
        "_class_name": "lantu.Model",
        "name": name or out.name,
        "license": licence,
        "tokenizer": ["lantu.tokenizer.model", "ImageTokenizer"],
        "language": ["transformers", "AutoModelForCausalLM"],
        "decoder": ["lantu.decoder.model", "PixelDecoder"],
        "draw": dict(draw or {}),
    }
    sources = dict(zip(PARTS, (tokenizer, language, decoder), strict=True))
    if control is not None:
        sources[CONTROL] = control
        index["control"] = ["lantu.decoder.control", "Control"]
    told = {part: budget_of(Path(source), part) for part, source in sources.items()}
    if budget := {part: cost for part, cost in told.items() if cost}:
        index["budget"] = budget
    if data is not None:
        index["data"] = origin(data)
    taught: Sequence[dict[str, Any]] = ()
    if data is not None:
        with contextlib.suppress(DataError):  # its index is enough to assemble a model
            taught = taught_by(data)
    with replacing(out) as temporary:
        for part, source in sources.items():
            shutil.copytree(part_folder(source, part), temporary / part)
        write_json(temporary / "model_index.json", index)
        for file, words in zip((WORDS, RELATED), taught, strict=False):
            write_text(temporary / file, json.dumps(words, ensure_ascii=False, separators=(",", ":")) + "\n")
        if card:
            shutil.copy(card, temporary / "README.md")
        check(ModelFolder(temporary))
    return ModelFolder(out)


def part_folder(source: str | Path, part: str) -> Path:
    """The exported part of a run, the part of a model directory (or of a model by name), or the folder itself.

    Raises:
        ModelError: it is none of these.
    """
    folder = Path(source)
    if not folder.exists() and len(folder.parts) == 1:
        folder = find(source).path
    for place in (folder / "model", folder / part, folder):
        if (place / "config.json").is_file() and any(place.glob("*.safetensors")):
            return place
    raise ModelError(
        f"no trained {part} in {source}", "name a finished run of `lantu train`, a model, or a part's folder"
    )


def check(model: ModelFolder) -> None:
    """Refuse parts that were trained for other codes.

    Raises:
        ModelError: the codebooks differ in size.
    """
    sizes = {
        "tokenizer": model.codebook_size,
        "language": model.entry("language/config.json", "lantu", "codebook_size"),
        "decoder": model.entry("decoder/config.json", "codebook_size"),
    }
    if model.controlled:
        sizes["control"] = model.entry("control/config.json", "codebook_size")
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{part} {size}" for part, size in sizes.items())
        raise ModelError(f"the parts have codebooks of different sizes ({told})", "train them on the same tokenizer")
