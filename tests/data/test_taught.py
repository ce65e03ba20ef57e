"""The words that captions teach."""

from lantu.data.taught import taught_by_captions
from lantu.tokens.words import Lexicon

PHOTOS = ["a photo of a T-shirt", "two running dogs", "一张T恤的照片", "一只狗和一只猫", "高速公路上的汽车"] * 3


def lexicon(captions):
    return Lexicon(taught_by_captions(captions))


def words(its, prompt):
    return [one.word for one in its.unknown(prompt)]


def test_words_of_captions_are_known_and_others_not():
    its = lexicon(PHOTOS)
    assert words(its, "a photo of two T-shirts and a dog, please") == []
    assert words(its, "a photo of a kaaba") == ["kaaba"]
    assert words(its, "画一只猫和一张T恤") == []
    assert words(its, "一列高铁") == ["列高铁"]
    assert its.unknown("a runing dog")[0].nearest == ("running",)
    assert its.names_something("a dog")
    assert not its.names_something("a kaaba")


def test_a_word_seen_once_counts_in_small_data_alone():
    assert words(lexicon(["a zorp"]), "a zorp") == []
    assert words(lexicon(["a zorp", *["a cat"] * 2000]), "a zorp") == ["zorp"]
