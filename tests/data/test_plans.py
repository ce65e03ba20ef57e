"""Plans say what stands where, in both languages."""

import numpy as np
from fake_gallery import concept, make_gallery

from lantu.data.layouts import BOTTOM, LEFT, RIGHT, TOP, TOP_LEFT, square
from lantu.data.plans import plan, steps, thought
from lantu.data.questions import question
from lantu.types import Placed, Sample

CONCEPTS = make_gallery().concepts


def scene(*placed, background="white"):
    objects = tuple(Placed(concept(name).key, "noto", box) for name, box in placed)
    return Sample("key", "scene", {}, objects, background)


def test_things_and_their_places():
    pair = scene(("cat", LEFT), ("apple", RIGHT))
    assert plan(pair, CONCEPTS, "en") == "a cat on the left, an apple on the right"
    assert plan(pair, CONCEPTS, "zh") == "左边一只猫，右边一个苹果"
    stacked = scene(("cat", TOP), ("dog", BOTTOM))
    assert plan(stacked, CONCEPTS, "zh") == "上面一只猫，下面一只狗"
    assert plan(scene(("cat", square(1, 1, 6))), CONCEPTS, "en") == "a cat"
    assert plan(scene(("cat", RIGHT)), CONCEPTS, "en") == "a cat on the right"


def test_many_things_are_listed_and_alike_ones_counted():
    three = scene(("mouse", TOP), ("mouse", LEFT), ("mouse", RIGHT))
    assert plan(three, CONCEPTS, "en") == "three mice"
    assert plan(scene(("mouse", LEFT), ("mouse", RIGHT)), CONCEPTS, "zh") == "两只老鼠"
    others = scene(("cat", TOP), ("dog", LEFT), ("apple", TOP_LEFT))
    assert plan(others, CONCEPTS, "en") == "a cat, a dog and an apple"


def test_steps_tell_what_is_and_what_is_to_be():
    before, after = scene(("cat", LEFT), ("dog", RIGHT)), scene(("dog", RIGHT), background="pink")
    assert steps(before, after, CONCEPTS, "en") == (
        "a cat on the left, a dog on the right, white background; a cat on the left: nothing; "
        "a dog on the right, pink background"
    )
    assert (
        steps(before, after, CONCEPTS, "zh") == "左边一只猫，右边一只狗，白色背景; 猫在左边: 没有; 右边一只狗，粉色背景"
    )
    swapped = scene(("dog", LEFT), ("cat", RIGHT))
    assert (
        steps(before, swapped, CONCEPTS, "en").split("; ")[1] == "a cat on the left: a dog, a dog on the right: a cat"
    )
    alone, pink = scene(("cat", square(1, 1, 6))), scene(("cat", square(1, 1, 6)), background="pink")
    assert steps(alone, pink, CONCEPTS, "en") == "a cat, white background; a cat, pink background"
    other = scene(("dog", square(1, 1, 6)))
    assert steps(alone, other, CONCEPTS, "zh").split("; ")[1] == "一只猫: 一只狗"


def test_thoughts_end_with_what_was_asked_for():
    pair = scene(("cat", LEFT), ("dog", RIGHT))
    wanted = {
        ("where", "en"): {"on the left": "a cat on the left", "on the right": "a dog on the right"},
        ("what", "en"): {"a cat": "on the left a cat", "a dog": "on the right a dog"},
        ("where", "zh"): {"左边": "猫在左边", "右边": "狗在右边"},
        ("what", "zh"): {"一只猫": "左边一只猫", "一只狗": "右边一只狗"},
    }
    for (kind, language), pieces in wanted.items():
        for seed in range(8):
            asked = question(pair, CONCEPTS, language, np.random.default_rng(seed), kind)
            comma = ", " if language == "en" else "，"
            assert thought(asked, pair, CONCEPTS, language) == f"{comma.join(pieces.values())}; {pieces[asked.answer]}"
    for seed in range(8):
        asked = question(pair, CONCEPTS, "en", np.random.default_rng(seed), "there")
        told = thought(asked, pair, CONCEPTS, "en")
        assert told.startswith("a cat: ")
        assert (": yes" in told) == (asked.answer == "yes")
    three = scene(("mouse", TOP), ("mouse", LEFT), ("mouse", RIGHT))
    asked = question(three, CONCEPTS, "zh", np.random.default_rng(0), "count")
    assert thought(asked, three, CONCEPTS, "zh") == "三只老鼠"
