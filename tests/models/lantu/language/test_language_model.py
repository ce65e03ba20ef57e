"""An exported model is a stock transformers directory."""

import json

import pytest
import torch

from lantu.errors import ModelError
from lantu.models.lantu.language import model
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_grid, read_vocabulary

CODEC = bpe.train(["a cat and a dog", "一只猫和一只狗"] * 3, 300)
VOCABULARY = Vocabulary(CODEC.size, 30)


def tiny(architecture: str = "qwen3", **settings):
    return model.make(VOCABULARY, 32, 2, 4, 64, 2, grid=(2, 3), architecture=architecture, **settings)


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_transformers_computes_the_same_loss_and_logits(tmp_path, architecture):
    from transformers import AutoModelForCausalLM

    ours = tiny(architecture).eval()
    model.export(ours, tmp_path / "language", CODEC, torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "language")
    assert type(theirs) is type(ours)
    ids = torch.tensor(
        [[VOCABULARY.special("bos"), *CODEC.encode("a cat"), VOCABULARY.special("boi"), VOCABULARY.code(3)]]
    )
    with torch.no_grad():
        a, b = ours(ids, labels=ids), theirs(ids, labels=ids)
    assert torch.equal(a.logits, b.logits)
    assert a.loss == b.loss


def test_transformers_reads_the_same_ids(tmp_path):
    from transformers import AutoTokenizer

    model.export(tiny(), tmp_path, CODEC)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("a cat", "cat", "一只猫，dog", "3 dogs!"):
        assert theirs(text)["input_ids"] == CODEC.encode(text)
        assert theirs.decode(CODEC.encode(text)) == text
    v = VOCABULARY
    assert len(theirs) == v.size
    assert theirs("<|bos|><|boi|><|side_2|>")["input_ids"] == [v.special("bos"), v.special("boi"), v.side(2)]
    codes = "".join(f"<|code_{i}|>" for i in range(30))
    assert theirs(codes)["input_ids"] == list(range(v.first_code, v.size))
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == tuple(
        map(v.special, ("bos", "eos", "pad"))
    )


def test_transformers_generates_without_complaint(tmp_path):
    model.export(tiny(), tmp_path, CODEC)
    loaded = model.load(tmp_path)
    ids = loaded.generate(torch.tensor([[VOCABULARY.special("bos")]]), max_new_tokens=4)
    assert ids.shape[1] <= 5


def test_the_directory_says_what_it_is(tmp_path):
    model.export(tiny(), tmp_path, CODEC)
    assert read_vocabulary(tmp_path) == VOCABULARY
    assert read_grid(tmp_path) == (2, 3)
    assert bpe.TextCodec(tmp_path).size == VOCABULARY.text_size
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert config["vocab_size"] == VOCABULARY.size


def test_the_seed_decides_the_weights():
    once, again, other = tiny().state_dict(), tiny().state_dict(), tiny(seed=1).state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(once[name], again[name])
    assert not torch.equal(once[name], other[name])


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="gpt2"):
        tiny("gpt2")


def test_other_directories_are_refused(tmp_path):
    for read in (read_vocabulary, read_grid, model.load):
        with pytest.raises(ModelError):
            read(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelError, match="image codes"):
        read_vocabulary(tmp_path)
