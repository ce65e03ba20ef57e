"""Puts trained parts together as a model directory."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lantu.data.taught import taught_by
from lantu.errors import DataError, LantuError, ModelError
from lantu.files import check_apart, replacing_folder, write_json, write_text
from lantu.models.lantu.components import is_pretrained
from lantu.models.lantu.directory import CONTROL, FOLDER_KIND, MEMORY, REFINER, UPSCALER
from lantu.models.lantu.folder import LantuFolder
from lantu.models.masked import folder as masked
from lantu.recipes.budget import budget_of, run_of
from lantu.recipes.copying import copy_part
from lantu.recipes.identity import check_parts
from lantu.recipes.memory import write_bank
from lantu.recipes.pictures import origin
from lantu.recipes.sources import part_folder
from lantu.tokens.words import RELATED, WORDS
from lantu.tokens.words import read as read_words
from lantu.weights import checksums
from lantu.weights.arrays import read_config
from lantu.weights.language_config import origin_of
from lantu.weights.names import MASKED, PRETRAINED_CONTROL

PARTS = ("tokenizer", "language", "decoder")
PRETRAINED = ["lantu.models.diffusers.pretrained", "PretrainedDecoder"]
CLASSES = {  # part → module and class, as diffusers' model_index.json names them
    "tokenizer": ["lantu.models.lantu.tokenizer.model", "ImageTokenizer"],
    "language": ["transformers", "AutoModelForCausalLM"],
    "decoder": ["lantu.models.lantu.decoder.network", "PixelDecoder"],
    MEMORY: ["lantu.data.memory_bank", "MemoryBank"],
    CONTROL: ["lantu.models.lantu.decoder.control", "Control"],
    UPSCALER: ["lantu.models.lantu.upscaler.network", "Upscaler"],
    REFINER: PRETRAINED,
}
STEPS = 20  # of a pretrained diffusion model
KIND = {REFINER: "decoder"}  # what a part is, where its name doesn't say so
MAX_RUNS = 20  # that began with one another
STRENGTH = 0.3  # of a refiner, unless another is chosen


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
    refiner: str | Path | None = None,
    memory: str | Path | None = None,
    upscaler: str | Path | None = None,
) -> LantuFolder:
    """Put parts together, completely or not at all. An older model in ``out`` is replaced; other files are not touched.

    Args:
        tokenizer, language, decoder: runs that ``train`` wrote, or folders of the parts themselves.
        out: the model directory.
        name: of the model; the folder's, if not given.
        licence: of the weights, kept in the model's index; that of an adopted language model if not given.
        card: a Markdown file that becomes README.md; without one an older model's stays.
        data: the data folder of the training. Its settings are kept for evaluation, and its captions say which words
            the model knows (``lantu.tokens.words``).
        draw: settings that it draws with by default, see ``lantu.engine.sampling_params.SamplingParams``.
        control: a run of ``train control``, or a control's folder.
        refiner: a pretrained decoder that goes over the drawings of the first one, by default with ``STRENGTH``.
        memory: a data folder whose training pictures can be found before a drawing (``shots``).
        upscaler: a run of ``train upscaler``, or an upscaler's folder: drawings have more pixels.

    Raises:
        ModelError: a part is missing, the parts have different codes, or there is no such card.
        DiskError: it can't be written, ``out`` holds other things than a model, or it and a part lie in one another.
    """
    out = Path(out)
    sources = dict(zip(PARTS, (tokenizer, language, decoder), strict=True))
    for part, source in ((CONTROL, control), (UPSCALER, upscaler)):
        if source is not None:
            sources[part] = source
    if refiner is not None:
        sources[REFINER] = refiner
        draw = {"refine": STRENGTH} | dict(draw or {})
    folders = {part: part_folder(source, KIND.get(part, part)) for part, source in sources.items()}
    config = read_config(folders["language"])
    licence = licence or origin_of(config).get("licence", "")
    index = {"_class_name": "lantu.Model", "name": name or out.name, "license": licence}
    index |= {part: CLASSES[part] for part in sources} | background_of(sources, data)
    if is_pretrained(folders["decoder"]):
        index["decoder"] = PRETRAINED
    if REFINER in folders and not is_pretrained(folders[REFINER]):
        raise ModelError(f"{refiner} is no pretrained decoder", "adopt one as the refiner: lantu adopt decoder")
    if CONTROL in folders and read_config(folders[CONTROL]).get("_class_name") == PRETRAINED_CONTROL:
        index[CONTROL] = ["lantu.models.diffusers.control", PRETRAINED_CONTROL]
    index["draw"] = {**usual(folders["decoder"]), **(draw or {})}
    drafts_masked = config.get("model_type") == MASKED
    if drafts_masked:
        index |= {"_class_name": masked.CLASS, "language": masked.LANGUAGE}
    check_apart(out, folders)
    taught: Sequence[dict[str, Any]] = ()
    if data is not None:
        with contextlib.suppress(DataError):  # the index of the data is enough to assemble a model
            taught = together(former_words(language), taught_by(data))
    kind = masked.FOLDER_KIND if drafts_masked else FOLDER_KIND
    with replacing_folder(out, kind) as temporary, naming(out, temporary):
        for part, folder in folders.items():
            copy_part(folder, temporary / part, kind, part)
        if memory is not None:
            write_bank(memory, folders["tokenizer"], temporary / MEMORY)
            index[MEMORY] = CLASSES[MEMORY]
        write_json(temporary / "model_index.json", index)
        write_words(temporary, taught)
        if text := card_of(card, out):
            (temporary / "README.md").write_bytes(text)
        LantuFolder(temporary).check()
        check_parts(folders)
        index[checksums.ENTRY] = checksums.of_parts(temporary, [*sources, *([MEMORY] if memory is not None else [])])
        write_json(temporary / "model_index.json", index)
    return LantuFolder(out)


@contextlib.contextmanager
def naming(out: Path, temporary: Path) -> Iterator[None]:
    """Let errors name the model's folder, not the one in which it is prepared. Raises what is raised inside."""
    try:
        yield
    except ModelError as problem:
        raise ModelError(problem.message.replace(str(temporary), str(out)), problem.hint) from problem


def write_words(folder: Path, taught: Sequence[dict[str, Any]]) -> None:
    """Write the words that a model was taught, and what is near to them; nothing if none are known."""
    for file, words in zip((WORDS, RELATED), taught, strict=False):
        write_text(folder / file, json.dumps(words, ensure_ascii=False, separators=(",", ":")) + "\n")


def former_words(language: str | Path) -> Sequence[dict[str, Any]]:
    """The words of the model that a language run began with, and what is near to them; none if it began with none.

    A run that began with another run has what that one began with.
    """
    run = run_of(Path(language))
    for _ in range(MAX_RUNS):
        try:
            start = json.loads((run / "config.json").read_text(encoding="utf-8"))["start"]
            folder = part_folder(start, "language").parent
        except (OSError, ValueError, KeyError, TypeError, LantuError):
            return ()
        if (folder / WORDS).is_file():
            return [read_words(folder / name) if (folder / name).is_file() else {} for name in (WORDS, RELATED)]
        run = folder
    return ()


def together(former: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The words of both: entry by entry, lists without repetition; where both have a related word, the new one."""
    if not former:
        return new
    words = dict(former[0])
    for entry in ("names", "words"):
        words[entry] = {
            language: list(dict.fromkeys([*its, *new[0][entry].get(language, ())]))
            for language, its in former[0][entry].items()
        }
    words["emoji"] = former[0]["emoji"] | new[0]["emoji"]
    if counts := min(its.get("counts", 0) for its in (words, new[0])):  # else its captions may have any numbers
        words["counts"] = max(counts, former[0]["counts"], new[0]["counts"])
    else:
        words.pop("counts", None)
    taught = {language: {*words["names"][language], *words["words"][language]} for language in words["names"]}
    kinds = {"en": taught["en"], "zh": taught["zh"], "emoji": words["emoji"]}
    related = {
        kind: {word: near for word, near in (former[1].get(kind, {}) | new[1].get(kind, {})).items() if word not in its}
        for kind, its in kinds.items()
    }
    return words, related


def usual(decoder: Path) -> dict[str, Any]:
    """The sampling parameters that a decoder's class renders well with. Raises ModelError where it can't be read."""
    return {"steps": STEPS} if is_pretrained(decoder) else {}


def background_of(sources: Mapping[str, str | Path], data: str | Path | None) -> dict[str, Any]:
    """What the index says of the training: what each part cost, and on which data.

    Raises:
        DataError: there is no such data.
    """
    costs = {part: budget_of(run_of(Path(source)), part) for part, source in sources.items()}
    known = {part: cost for part, cost in costs.items() if cost}
    budget = {"budget": known} if known else {}
    return budget | ({"data": origin(data)} if data is not None else {})


def card_of(card: str | Path | None, out: Path) -> bytes | None:
    """The text of a model's card: from the given file, or of the model that is replaced.

    Raises:
        ModelError: the file can't be read.
    """
    try:
        return Path(card or out / "README.md").read_bytes()
    except OSError as problem:
        if not card:
            return None
        raise ModelError(f"can't read the card {card} ({problem.strerror})", "give a Markdown file") from problem
