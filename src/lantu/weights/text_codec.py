"""The text tokenizer of a language model's directory: lantu's own BPE, or that of the model which was adopted."""

from pathlib import Path

from lantu.tokens.bpe import TextCodec
from lantu.tokens.pretrained import PretrainedCodec
from lantu.weights.arrays import read_config
from lantu.weights.language_config import is_adopted, vocabulary_of


def read_codec(folder: str | Path) -> TextCodec:
    """The codec of a language model that draws.

    Raises:
        ModelError: the directory has no readable config or tokenizer.
    """
    config = read_config(folder)
    if is_adopted(config):
        return PretrainedCodec.load(Path(folder), vocabulary_of(config).text_size)
    return TextCodec(folder)
