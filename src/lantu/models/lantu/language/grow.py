"""A larger codebook for a model that draws: new codes come last, so that no old id moves."""

from typing import TYPE_CHECKING, Any

from lantu.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def grow(language: "PreTrainedModel", vocabulary: Vocabulary, origins_K: "Tensor") -> None:
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
