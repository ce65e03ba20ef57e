"""A larger codebook for a model that draws: new codes come last, so that no old id moves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.errors import ModelError
from lantu.models.lantu.language import model
from lantu.tokens.pretrained import PretrainedCodec
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_grid, read_vocabulary
from lantu.weights.text_codec import read_codec

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

NOISE = 0.1


def grow(folder: str | Path, codebook_size: int, out: str | Path, seed: int = 0) -> Vocabulary:
    """Enlarge the codebook of a model that draws; old codes keep their ids and embeddings.

    The embeddings of new codes start near the mean of the old ones, which gives them little probability.

    Raises:
        ModelError: the directory can't be read, or has as many codes already.
        DiskError: it can't be written.
    """
    old = read_vocabulary(folder)
    if codebook_size <= old.codebook_size:
        raise ModelError(f"the model has {old.codebook_size} codes already", "ask for more")
    codec = read_codec(folder)
    if isinstance(codec, PretrainedCodec):
        raise ModelError("an adopted model's codebook can't grow", "adopt it again, with the larger tokenizer")
    vocabulary = Vocabulary(old.text_size, codebook_size)
    language = model.load(folder)
    extend(language, slice(old.code_range.start, old.size), vocabulary.size, seed)
    model.describe(language.config, vocabulary, read_grid(folder))
    model.export(language, out, codec)
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


def grow_like(language: "PreTrainedModel", vocabulary: Vocabulary, origins_K: "Tensor") -> None:
    """Resize a model to K codes, each of which begins with the embedding of an old one.

    Args:
        vocabulary: of the model as it is.
        origins_K: int64, that old code; the first ones are the old codes themselves.
    """
    import torch

    new = vocabulary.codes_to_ids(origins_K[vocabulary.codebook_size :])
    language.resize_token_embeddings(vocabulary.size + len(new), mean_resizing=False)
    with torch.no_grad():
        for table_VD in tables(language):
            table_VD[vocabulary.size :] = table_VD[new]


def tables(language: "PreTrainedModel") -> "list[Tensor]":
    """The embedding tables, each (V, D): input, and output if it is not tied to the input."""
    inputs: Any = language.get_input_embeddings()
    outputs: Any = language.get_output_embeddings()
    return [inputs.weight] if inputs.weight is outputs.weight else [inputs.weight, outputs.weight]
