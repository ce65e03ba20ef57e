"""Adding ids to an existing language model: special tokens and image codes, or more codes.

New ids come last, so that no old id moves. Their embeddings start near the mean of old ones, which gives them little
probability, so that the model still writes what it wrote before.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.errors import ModelError
from lantu.models.lantu.language import model
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_grid, read_vocabulary

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

NOISE = 0.1


def adopt(
    folder: str | Path, codebook_size: int, out: str | Path, grid: tuple[int, int] = (12, 12), seed: int = 0
) -> Vocabulary:
    """Give a pretrained language model special tokens and image codes.

    Its tokenizer still encodes text as before, but no longer adds special tokens: documents bring lantu's.

    Args:
        folder: any transformers directory of a causal language model with a tokenizer.json.
        out: folder of the new model.
        grid: height and width in codes of the pictures that it will draw.
        seed: for the new embeddings.

    Raises:
        ModelError: the directory can't be read, its tokenizer has ids that the model lacks, or lantu's tokens.
        DiskError: it can't be written.
    """
    codec = bpe.TextCodec(folder)
    vocabulary = Vocabulary(bpe.ids_of(codec.tokenizer), codebook_size)
    if taken := [token for token in vocabulary.tokens() if codec.tokenizer.token_to_id(token) is not None]:
        raise ModelError(f"its tokenizer already has {taken[0]}", "adopt a model that does not draw, or grow this one")
    codec.tokenizer.post_processor = None
    language = model.load(folder)
    if len(tables(language)[0]) < vocabulary.text_size:
        raise ModelError("its tokenizer has more ids than the model", "give a model with its own tokenizer")
    extend(language, slice(0, vocabulary.text_size), vocabulary.size, seed)
    model.describe(language.config, vocabulary, grid)
    model.export(language, out, codec)
    return vocabulary


def grow(folder: str | Path, codebook_size: int, out: str | Path, seed: int = 0) -> Vocabulary:
    """Enlarge the codebook of a model that draws; old codes keep their ids and embeddings.

    Raises:
        ModelError: the directory can't be read, or has as many codes already.
        DiskError: it can't be written.
    """
    old = read_vocabulary(folder)
    if codebook_size <= old.codebook_size:
        raise ModelError(f"the model has {old.codebook_size} codes already", "ask for more")
    vocabulary = Vocabulary(old.text_size, codebook_size)
    language = model.load(folder)
    extend(language, slice(old.code_range.start, old.size), vocabulary.size, seed)
    model.describe(language.config, vocabulary, read_grid(folder))
    model.export(language, out, bpe.TextCodec(folder))
    return vocabulary


def extend(language: "PreTrainedModel", like: slice, size: int, seed: int) -> None:
    """Resize a model to ``size`` ids; the embeddings of those after ``like`` start near the mean of ``like``."""
    import torch

    language.resize_token_embeddings(size, mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for table_VD in tables(language):
            known_VD = table_VD[like]
            noise_VD = torch.randn(size - like.stop, table_VD.shape[1], generator=generator)
            table_VD[like.stop :] = known_VD.mean(0) + NOISE * known_VD.std(0) * noise_VD


def tables(language: "PreTrainedModel") -> "list[Tensor]":
    """The embedding tables, each (V, D): input, and output if it is not tied to the input."""
    inputs: Any = language.get_input_embeddings()
    outputs: Any = language.get_output_embeddings()
    return [inputs.weight] if inputs.weight is outputs.weight else [inputs.weight, outputs.weight]
