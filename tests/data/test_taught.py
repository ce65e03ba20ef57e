"""The words that captions teach."""

from lantu.data.gallery import Concept
from lantu.data.scenes import PLACEMENTS
from lantu.data.taught import taught_by_captions, taught_by_things
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


def test_what_scenes_teach_depends_on_their_styles_and_placement(monkeypatch):
    monkeypatch.setattr("lantu.data.taught.related", lambda concepts: {})
    cat = {"1F431": Concept("1F431", {"en": "cat", "zh": "猫"}, {"en": (), "zh": ()}, "animals", "animal-mammal")}
    slots, anywhere = (Lexicon(taught_by_things(cat, ["noto", "twemoji"], p)[0]) for p in PLACEMENTS)
    for its in (slots, anywhere):
        assert words(its, "a cat in Noto style on a sky blue background, left") == []
        assert words(its, "a cat in Firefox style") == ["firefox"]
    assert words(slots, "six cats, teal background") == ["six", "teal"]
    assert words(anywhere, "six cats, teal background") == []
    assert words(anywhere, "seven cats") == ["seven"]
    assert words(slots, "猫，星空背景") == ["星空"]
    assert words(anywhere, "猫，星空背景") == []
