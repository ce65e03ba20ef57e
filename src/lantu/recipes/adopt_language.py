"""``lantu adopt language``: a pretrained language model and an image tokenizer, whose codes it is to learn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lantu import files
from lantu.errors import LantuError, ModelError
from lantu.models import hub, registry
from lantu.models.lantu.language.adopt import adopt
from lantu.models.lantu.language.model import FOLDER_KIND
from lantu.models.lantu.language.source import open_source
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.models.recognising import configured
from lantu.recipes.sources import part_folder
from lantu.tokens.vocabulary import CONTROLS, Vocabulary

ROWS = ("mean", "codes")


def adopt_language(
    source: str,
    out: str | Path,
    tokenizer: str | Path | None = None,
    rows: str = "mean",
    seed: int = 0,
    licence: str = "",
) -> dict[str, Any]:
    """Give a pretrained language model the codes of an image tokenizer.

    Args:
        source: a published directory, or a hub id.
        out: folder of the new language model.
        tokenizer: a run, a model or a folder of an image tokenizer; the shipped model's if not given.
        rows: how the new embeddings begin: "mean" or "codes", see ``lantu.models.lantu.language.rows``.
        licence: of the weights; what the model's card says if not given.

    Returns:
        facts as JSON: folder, source, licence, architecture, ids, codes, tokenizer.

    Raises:
        ModelError: a directory is not what it should be.
        DiskError: ``out`` holds other things, can't be written, or lies in the source.
    """
    if rows not in ROWS:
        raise LantuError(f"new rows can't begin from {rows!r}", f"choose {' or '.join(ROWS)}")
    named = str(tokenizer or hub.DEFAULT)
    images = ImageTokenizer.load(part_folder(named, "tokenizer"))
    files.check_folder(Path(out), FOLDER_KIND)
    folder = hub.locate(source)
    files.check_apart(out, {"language model": folder})
    check_language(folder, source)
    count = images.codebook_size
    found = open_source(folder, source if folder != files.expand(source) else folder.resolve().name, CONTROLS + count)
    found = replace(found, declared=licence)
    grid = images.config.codes_of(images.config.grid, images.config.grid)
    vectors_KE = images.quantizer.vectors().detach() if rows == "codes" else None
    vocabulary = Vocabulary(found.ids, count, images.config.depth)
    adopt(found, vocabulary, grid, images.codes_digest(), out, vectors_KE, seed)
    return {
        "folder": str(out),
        "source": found.name,
        "licence": found.licence or "not stated: see its card",
        "architecture": found.config["architectures"][0],
        "ids": vocabulary.size,
        "codes": count,
        "tokenizer": named,
    }


def check_language(folder: Path, source: str) -> None:
    """Refuse a folder that is something else than a language model of transformers, by what it is.

    A model that a layout file describes is such a directory itself.

    Raises:
        ModelError: says what it is, and which command takes it.
    """
    found, inner = registry.what(folder), configured(folder)
    if found is None or found.kind == "transformer" or (inner and inner.kind == "language"):
        return  # of the wrong class of transformers' own, the source itself says more
    then = found.then
    if (folder / "language").is_dir() or (inner and inner.what.startswith("a language")):
        then = f"it draws already; train it further: lantu train language --start {source}"
    raise ModelError(f"{source} is {found.what}, not a language model of transformers", then)
