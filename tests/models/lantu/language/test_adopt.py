"""A model that learns new ids keeps all that it knew."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from lantu.errors import ModelError
from lantu.models.lantu.language import model
from lantu.models.lantu.language.adopt import adopt, grow
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_grid, read_vocabulary

IDS = torch.tensor([[1, 5, 200, 7]])


def stranger(folder, architecture: str, tied: bool, rows: int = 300):
    """Somebody else's model: own tokenizer with a mark of its own, embeddings padded beyond it."""
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 256)])
    config = AutoConfig.for_model(
        architecture,
        vocab_size=rows,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(0)
    language = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    language.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>").save_pretrained(folder)
    return language.float()


@pytest.mark.parametrize(("architecture", "tied"), [("llama", False), ("qwen3", True)])
def test_an_adopted_model_knows_what_it_knew(tmp_path, architecture, tied):
    from transformers import AutoTokenizer

    before = stranger(tmp_path / "before", architecture, tied)
    vocabulary = adopt(tmp_path / "before", 20, tmp_path / "after", grid=(2, 3))
    after = model.load(tmp_path / "after")
    assert vocabulary == Vocabulary(257, 20) == read_vocabulary(tmp_path / "after")
    assert read_grid(tmp_path / "after") == (2, 3)
    with torch.no_grad():
        old, new = before(IDS).logits, after(IDS).logits
    assert new.shape[-1] == vocabulary.size
    assert torch.equal(old[..., :257], new[..., :257])
    assert new[..., 257:].std() < old[..., :257].std()

    codec = bpe.TextCodec(tmp_path / "after")
    assert codec.size == 257
    ids = codec.encode("a cat 猫")
    assert ids == bpe.TextCodec(tmp_path / "before").encode("a cat 猫")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "after")
    assert theirs("a cat 猫")["input_ids"] == ids
    assert theirs("<|code_19|>")["input_ids"] == [vocabulary.code(19)]


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


def test_models_that_can_not_be_taught_are_refused(tmp_path):
    with pytest.raises(ModelError):
        adopt(tmp_path, 20, tmp_path / "out")
    stranger(tmp_path / "small", "llama", True, rows=200)
    with pytest.raises(ModelError, match="more ids"):
        adopt(tmp_path / "small", 20, tmp_path / "out")
    with pytest.raises(ModelError, match="image codes"):
        grow(tmp_path / "small", 20, tmp_path / "out")
    stranger(tmp_path / "stranger", "llama", True)
    adopt(tmp_path / "stranger", 20, tmp_path / "drawing")
    with pytest.raises(ModelError, match="already"):
        adopt(tmp_path / "drawing", 20, tmp_path / "out")
    with pytest.raises(ModelError, match="already"):
        grow(tmp_path / "drawing", 20, tmp_path / "out")
    assert not (tmp_path / "out").exists()
