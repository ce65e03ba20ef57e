"""A larger codebook for a model that is there: its image tokenizer, language model and decoder go on with more codes.

New pictures need codes of their own. A tokenizer that is given more of them keeps the first ones where they are; a
language model and a decoder keep what they know of these, and begin each new code as the old one nearest to it. (New
ids come last in the vocabulary, so no id moves.)

    lantu train tokenizer --start MODEL --set model.codebook_size=8192 …
    lantu train language --start MODEL --tokenizer THAT …
    lantu train decoder --start MODEL --tokenizer THAT …

Shapes: K codes, of which the first k are old.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lantu.errors import RecipeError
from lantu.models.lantu.tokenizer.codebook import nearest
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.sources import part_folder

EXTENDED = ("vq", "following")  # quantisers that can be given more codes


def continue_tokenizer(model: ImageTokenizer, source: str, vectors: Callable[[int], Tensor]) -> None:
    """Set a tokenizer's weights to those of another one, which may have fewer codes.

    Args:
        source: of the other one, as ``part_folder`` takes it.
        vectors: of so many new codes → what the encoder makes of pictures enough to fit them, (M, E).

    Raises:
        RecipeError: the other one has other sizes.
        ModelError: there is none.
    """
    start, ours = ImageTokenizer.load(part_folder(source, "tokenizer")), model.config
    differing = [name for name, value in start.config if value != getattr(ours, name)]
    if not differing:
        model.load_state_dict(start.state_dict())
        return
    if differing != ["codebook_size"] or not _extends(start.config, ours.codebook_size):
        raise RecipeError(
            f"the tokenizer in {source} has another {', '.join(differing)}",
            "set model.* to its values; model.codebook_size may be larger",
        )
    state = {name: value for name, value in start.state_dict().items() if not name.startswith("quantizer.")}
    model.load_state_dict(state, strict=False)
    model.quantizer.extend(start.quantizer.vectors(), vectors(ours.codebook_size - start.config.codebook_size))


def _extends(config: TokenizerConfig, size: int) -> bool:
    """Whether a codebook can be given more codes, up to ``size``."""
    return config.quantizer in EXTENDED and config.depth == 1 and config.codebook_size < size


def is_extended(tokenizer: Path, known: int, digest: str) -> bool:
    """Whether a tokenizer is the one of a codes digest, with more codes behind its ``known`` ones.

    Args:
        tokenizer: its folder.
    """
    ours = ImageTokenizer.load(tokenizer)
    return _extends(ours.config.model_copy(update={"codebook_size": known}), ours.codebook_size) and (
        ours.codes_digest(known) == digest
    )


def origins(tokenizer: ImageTokenizer, known: int) -> Tensor | None:
    """(K,) int64: the old code that each code begins as: itself, or the nearest of the first ``known``.

    None if there are no codes behind these, or of a kind that can't be extended.
    """
    if not _extends(tokenizer.config.model_copy(update={"codebook_size": known}), tokenizer.codebook_size):
        return None
    vectors_KE = tokenizer.quantizer.vectors().detach().float()
    return torch.cat([torch.arange(known), nearest(vectors_KE[known:], vectors_KE[:known])])
