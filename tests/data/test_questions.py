"""Questions have the one right answer that the scene gives them."""

import numpy as np
import pytest
from fake_gallery import concept, make_gallery

from lantu.data.layouts import BOTTOM, LEFT, RIGHT, TOP
from lantu.data.questions import KINDS, ask, question, sides_of
from lantu.data.scenes import Composer
from lantu.types import Placed, Sample

CONCEPTS = make_gallery().concepts


def scene(*placed, background="white", kind="scene"):
    objects = tuple(Placed(concept(name).key, "noto", box) for name, box in placed)
    return Sample("key", kind, {}, objects, background)


def answers(sample, kind, language, count=30):
    """Question → answer, over many draws."""
    made = [ask(kind, sample, CONCEPTS, language, np.random.default_rng(seed)) for seed in range(count)]
    return {one.text: one.answer for one in made if one}


def test_places_and_things():
    pair = scene(("cat", RIGHT), ("apple", LEFT))
    what = answers(pair, "what", "en")
    assert {answer for text, answer in what.items() if "left" in text} == {"an apple"}
    assert {answer for text, answer in what.items() if "right" in text} == {"a cat"}
    where = answers(pair, "where", "zh")
    assert {answer for text, answer in where.items() if "猫" in text} == {"右边"}
    assert {answer for text, answer in where.items() if "苹果" in text} == {"左边"}
    stacked = scene(("cat", BOTTOM), ("apple", TOP))
    assert sides_of(stacked) == ("bottom", "top")
    assert set(answers(stacked, "what", "zh").values()) == {"一只猫", "一个苹果"}


def test_counts_in_both_languages():
    three = scene(("mouse", TOP), ("mouse", LEFT), ("mouse", RIGHT), kind="count")
    assert set(answers(three, "count", "en").values()) == {"three"}
    assert all("mice" in text for text in answers(three, "count", "en"))
    assert set(answers(three, "count", "zh").values()) == {"三只"}
    assert set(answers(three, "all", "en").values()) == {"three mice"}
    assert not answers(scene(("cat", LEFT), ("dog", RIGHT)), "count", "en")


def test_what_is_there_and_what_is_not():
    told = answers(scene(("cat", LEFT), ("dog", RIGHT)), "there", "en", 200)
    assert set(told.values()) == {"yes", "no"}
    for text, answer in told.items():
        assert (answer == "yes") == ("a cat" in text or "a dog" in text)


def test_style_and_background_and_everything():
    sample = scene(("cat", LEFT), ("dog", RIGHT), background="grey")
    assert set(answers(sample, "style", "en").values()) == {"Noto"}
    assert set(answers(sample, "background", "zh").values()) == {"灰色"}
    assert set(answers(sample, "all", "zh").values()) == {"一只猫和一只狗"}


def test_a_question_is_found_for_every_scene_and_none_for_an_unknown_one():
    composer = Composer(make_gallery(), size=64)
    seen = set()
    for index in range(80):
        sample, _ = composer.sample("train", index)
        made = question(sample, CONCEPTS, ("en", "zh")[index % 2], np.random.default_rng(index))
        assert made
        assert made.text
        assert made.answer
        seen.add(made.kind)
    assert seen == set(KINDS)
    assert question(Sample("key", "picture", {}), CONCEPTS, "en", np.random.default_rng(0)) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_same_chance_asks_the_same(language):
    sample = scene(("cat", LEFT), ("dog", RIGHT))
    one, two = (question(sample, CONCEPTS, language, np.random.default_rng(5)) for _ in range(2))
    assert one == two


def test_sides_are_told_where_things_stand_anywhere():
    for boxes, side in (
        (((0.05, 0.2, 0.4, 0.55), (0.55, 0.3, 0.95, 0.7)), "on the left"),
        (((0.1, 0.0, 0.4, 0.3), (0.2, 0.6, 0.5, 0.9)), "at the top"),
    ):
        sample = scene(("cat", boxes[0]), ("dog", boxes[1]))
        assert side in set(answers(sample, "where", "en").values())
    assert sides_of(scene(("cat", (0, 0, 0.3, 0.3)), ("dog", (0.6, 0.5, 0.9, 0.8)))) is None
