"""A pretrained causal language model gets lantu's special tokens and image codes, and stays a stock directory.

New ids come last, so that no old id moves and no old weight changes: on text it computes exactly what it computed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from lantu import files
from lantu.errors import ModelError
from lantu.models.lantu.language.model import FOLDER_KIND, entry
from lantu.models.lantu.language.rows import new_rows
from lantu.models.lantu.language.source import Source
from lantu.tokens import bpe, pretrained
from lantu.tokens.vocabulary import CONTROLS, Vocabulary
from lantu.weights import arrays
from lantu.weights.appending import copy_with_rows

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def adopt(
    source: Source,
    vocabulary: Vocabulary,
    grid: tuple[int, int],
    tokenizer: str,
    out: str | Path,
    vectors_KE: "Tensor | None" = None,
    seed: int = 0,
) -> None:
    """Write a language model that can learn to draw.

    Args:
        vocabulary: its text ids are the rows that the model has.
        grid: height and width in codes of the pictures that it will draw.
        tokenizer: the codes digest of the image tokenizer.
        out: folder of the new model; an older one of lantu's is replaced.
        vectors_KE: of the codes, which their rows are made of; without them all begin near the mean.
        seed: for the new rows.

    Raises:
        ModelError: its tokenizer can't take the new tokens, or a file is damaged.
        DiskError: it can't be written, or ``out`` holds other things.
    """
    companions = pretrained.with_tokens(source.companions, vocabulary)
    known = min(source.ids, bpe.ids_of(pretrained.parse(source.companions)))
    parts = [CONTROLS, vocabulary.codebook_size if vectors_KE is None else vectors_KE]
    config = dict(source.config) | {"vocab_size": vocabulary.size}
    config["lantu"] = entry(vocabulary, grid) | {"tokenizer": tokenizer, "adopted": source.origin()}
    with files.replacing_folder(out, FOLDER_KIND) as temporary:
        temporary.mkdir()
        try:
            copy_with_rows(source.folder, temporary, rows_of(source, known, parts, seed))
        except ValueError as problem:
            raise ModelError(f"can't read the weights in {source.folder} ({problem})", arrays.HINT) from problem
        files.write_json(temporary / "config.json", config)
        pretrained.write_companions(companions, temporary)


def rows_of(source: Source, known: int, parts: "list[int | Tensor]", seed: int) -> "dict[str, np.ndarray]":
    """The new rows of each table; tied ones get the same."""
    state = arrays.read(source.folder)
    made: dict[str, np.ndarray] = {}
    for name in sorted(source.tables, key=lambda name: name in source.tied):
        model = source.tied.get(name, "")
        made[name] = made[model] if model in made else new_rows(state[name], known, parts, seed)
    return made
