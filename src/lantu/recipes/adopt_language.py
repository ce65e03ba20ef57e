"""``lantu adopt language``: a pretrained language model and an image tokenizer, whose codes it is to learn."""

from pathlib import Path
from typing import Any

from lantu import files
from lantu.errors import LantuError
from lantu.models import hub
from lantu.models.lantu.language.adopt import adopt
from lantu.models.lantu.language.model import FOLDER_KIND
from lantu.models.lantu.language.source import open_source
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.sources import part_folder
from lantu.tokens.vocabulary import CONTROLS, Vocabulary

ROWS = ("mean", "codes")


def adopt_language(
    source: str, out: str | Path, tokenizer: str | Path | None = None, rows: str = "mean", seed: int = 0
) -> dict[str, Any]:
    """Give a pretrained language model the codes of an image tokenizer.

    Args:
        source: a published directory, or a hub id.
        out: folder of the new language model.
        tokenizer: a run, a model or a folder of an image tokenizer; the shipped model's if not given.
        rows: how the new embeddings begin: "mean" or "codes", see ``lantu.models.lantu.language.rows``.

    Returns:
        facts as JSON: folder, source, licence, architecture, ids, codes, tokenizer.

    Raises:
        ModelError: a directory is not what it should be.
        DiskError: ``out`` holds other things, or can't be written.
    """
    if rows not in ROWS:
        raise LantuError(f"new rows can't begin from {rows!r}", f"choose {' or '.join(ROWS)}")
    named = str(tokenizer or hub.DEFAULT)
    images = ImageTokenizer.load(part_folder(named, "tokenizer"))
    files.check_folder(Path(out), FOLDER_KIND)
    folder = hub.locate(source)
    count = images.config.codebook_size
    found = open_source(folder, source if folder != files.expand(source) else folder.resolve().name, CONTROLS + count)
    side = images.config.size // images.config.patch
    vectors_KE = images.quantizer.vectors().detach() if rows == "codes" else None
    vocabulary = Vocabulary(found.ids, count)
    adopt(found, vocabulary, (side, side), images.codes_digest(), out, vectors_KE, seed)
    return {
        "folder": str(out),
        "source": found.name,
        "licence": found.licence or "not stated: see its card",
        "architecture": found.config["architectures"][0],
        "ids": vocabulary.size,
        "codes": count,
        "tokenizer": named,
    }
