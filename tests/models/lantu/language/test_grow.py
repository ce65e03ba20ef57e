"""A larger codebook moves no id."""

import pytest
import torch

import tiny_language
from lantu.errors import ModelError
from lantu.models.lantu.language import model
from lantu.models.lantu.language.grow import grow
from lantu.recipes.adopt_language import adopt_language
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_grid, read_vocabulary


def test_a_grown_model_keeps_its_codes(tmp_path):
    codec = bpe.train(["a cat"] * 2, 300)
    old = Vocabulary(codec.size, 20)
    model.export(model.make(old, 32, 1, 2, 48, grid=(2, 3)), tmp_path / "before", codec)
    new = grow(tmp_path / "before", 50, tmp_path / "after")
    assert new == Vocabulary(codec.size, 50) == read_vocabulary(tmp_path / "after")
    assert read_grid(tmp_path / "after") == (2, 3)
    ids = torch.tensor([[old.special("bos"), *codec.encode("a cat"), old.code(19)]])
    with torch.no_grad():
        before, after = model.load(tmp_path / "before")(ids).logits, model.load(tmp_path / "after")(ids).logits
    assert torch.equal(before, after[..., : old.size])
    tokenizer = bpe.TextCodec(tmp_path / "after").tokenizer
    assert [tokenizer.token_to_id(f"<|code_{i}|>") for i in (0, 19, 20, 49)] == [new.code(i) for i in (0, 19, 20, 49)]
    with pytest.raises(ModelError, match="already"):
        grow(tmp_path / "after", 50, tmp_path / "out")


def test_what_can_not_grow(tiny_model, tmp_path):
    tiny_language.write(tmp_path / "published")
    with pytest.raises(ModelError, match="image codes"):
        grow(tmp_path / "published", 20, tmp_path / "out")
    adopt_language(str(tmp_path / "published"), tmp_path / "adopted", tiny_model)
    with pytest.raises(ModelError, match="adopted model"):
        grow(tmp_path / "adopted", 64, tmp_path / "out")
