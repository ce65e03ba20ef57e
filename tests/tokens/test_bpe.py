"""The tokenizer of text: any text comes back, words have one spelling, and no text becomes a control id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lantu.errors import ModelError, PromptError
from lantu.tokens.bpe import TextCodec, normalise, save, train
from lantu.tokens.vocabulary import Vocabulary

CAPTIONS = [
    "a cat on the left and a dog on the right",
    "a dog above a cat",
    "three apples",
    "左边一只猫，右边一只狗",
    "一只猫在一只狗的上面",
    "三个苹果",
] * 3
CODEC = train(CAPTIONS, 400)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(text)
def test_any_text_comes_back_as_normalised(text):
    ids = CODEC.encode(text)
    assert CODEC.decode(ids) == normalise(text)
    assert all(0 <= id_ < CODEC.size for id_ in ids)


@given(text)
def test_normalising_twice_is_normalising_once(text):
    assert normalise(normalise(text)) == normalise(text)


def test_normalising():
    assert normalise("  Ｃａｔ\t１\u3000 ２\n") == "Cat 1 2"
    assert normalise("猫，狗。真的？（是）…") == "猫，狗。真的？（是）…"
    with pytest.raises(PromptError):
        normalise("half \ud800")


def test_words_have_the_same_ids_wherever_they_stand():
    assert CODEC.encode("a cat") == CODEC.encode("a") + CODEC.encode("cat")
    assert CODEC.encode("一只猫") == CODEC.encode("一只") + CODEC.encode("猫")
    assert len(CODEC.encode("cat")) == len(CODEC.encode("猫")) == 1


def test_sizes():
    assert 256 <= CODEC.size <= 400
    assert train([], 4096).size == 256
    assert train(CAPTIONS, 300).size == 300
    assert train(CAPTIONS, 10).decode(train([], 10).encode("猫 cat")) == "猫 cat"


def test_training_twice_gives_the_same_tokenizer():
    assert train(CAPTIONS, 400).tokenizer.to_str() == CODEC.tokenizer.to_str()


def test_a_saved_codec_encodes_alike_and_controls_stay_out_of_text(tmp_path):
    vocabulary = Vocabulary(CODEC.size, 20)
    save(CODEC, vocabulary, tmp_path)
    codec = TextCodec(tmp_path)
    assert codec.size == CODEC.size
    assert codec.encode_batch(CAPTIONS) == [CODEC.encode(caption) for caption in CAPTIONS]
    spelled = "<|boi|> a cat <|code_3|>"
    assert max(codec.encode(spelled)) < codec.size
    assert codec.decode(codec.encode(spelled)) == spelled
    assert codec.decode([*codec.encode("a cat"), vocabulary.special("eos"), vocabulary.code(3)]) == "a cat"


def test_another_vocabulary_is_refused(tmp_path):
    with pytest.raises(ValueError, match="text ids"):
        save(CODEC, Vocabulary(CODEC.size + 1, 20), tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(ModelError):
        TextCodec(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError):
        TextCodec(tmp_path)
