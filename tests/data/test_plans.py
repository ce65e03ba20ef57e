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
    assert plan(pair, CONCEPTS, "en") == "cat left, apple right, white background"
    assert plan(pair, CONCEPTS, "zh") == "猫左边，苹果右边，白色背景"
    stacked = scene(("cat", TOP), ("dog", BOTTOM), background="pink")
    assert plan(stacked, CONCEPTS, "zh") == "猫上面，狗下面，粉色背景"
    assert plan(scene(("cat", square(1, 1, 6))), CONCEPTS, "en") == "cat, white background"
    assert plan(scene(("cat", RIGHT)), CONCEPTS, "en") == "cat right, white background"


def test_many_things_are_listed_and_alike_ones_counted():
    three = scene(("mouse", TOP), ("mouse", LEFT), ("mouse", RIGHT))
    assert plan(three, CONCEPTS, "en") == "three mice, white background"
    assert plan(scene(("mouse", LEFT), ("mouse", RIGHT)), CONCEPTS, "zh") == "两只老鼠，白色背景"
    others = scene(("cat", TOP), ("dog", LEFT), ("apple", TOP_LEFT))
    assert plan(others, CONCEPTS, "en") == "a cat, a dog and an apple, white background"


def test_steps_tell_what_is_and_what_becomes_of_what_and_what_is_to_be():
    before, after = scene(("cat", LEFT), ("dog", RIGHT)), scene(("dog", RIGHT), background="pink")
    assert steps(before, after, CONCEPTS, "en") == (
        "cat left, dog right, white background; cat left: nothing; dog right, pink background"
    )
    assert steps(before, after, CONCEPTS, "zh") == "猫左边，狗右边，白色背景; 猫左边: 没有; 狗右边，粉色背景"

    def become(before, after, language="en"):
        return steps(before, after, CONCEPTS, language).split("; ")[1:-1]

    assert become(before, scene(("dog", LEFT), ("cat", RIGHT))) == ["cat left: dog left, dog right: cat right"]
    assert become(before, scene(("cat", LEFT), ("owl", RIGHT))) == ["dog right: owl right"]
    assert become(scene(("cat", LEFT)), scene(("cat", RIGHT)), "zh") == ["猫左边: 猫右边"]
    alone, pink = scene(("cat", square(1, 1, 6))), scene(("cat", square(1, 1, 6)), background="pink")
    assert become(alone, pink) == []
    assert become(alone, scene(("dog", square(1, 1, 6))), "zh") == ["猫: 狗"]


def test_thoughts_end_with_what_was_asked_for():
    pair = scene(("cat", LEFT), ("dog", RIGHT))
    wanted = {
        ("where", "en"): {"on the left": "cat left", "on the right": "dog right"},
        ("what", "en"): {"a cat": "left cat", "a dog": "right dog"},
        ("where", "zh"): {"左边": "猫左边", "右边": "狗右边"},
        ("what", "zh"): {"一只猫": "左边猫", "一只狗": "右边狗"},
    }
    for (kind, language), pieces in wanted.items():
        for seed in range(8):
            asked = question(pair, CONCEPTS, language, np.random.default_rng(seed), kind)
            comma = ", " if language == "en" else "，"
            assert thought(asked, pair, CONCEPTS, language) == f"{comma.join(pieces.values())}; {pieces[asked.answer]}"
    mice = scene(("mouse", TOP), ("mouse", LEFT))
    for seed in range(8):
        asked = question(pair, CONCEPTS, "en", np.random.default_rng(seed), "there")
        told = thought(asked, pair, CONCEPTS, "en")
        assert {piece.split()[0] for piece in told.split(", ")} == {"cat", "dog"}
        assert (" yes" in told) == (asked.answer == "yes")
        asked = question(mice, CONCEPTS, "zh", np.random.default_rng(seed), "there")
        assert thought(asked, mice, CONCEPTS, "zh") == f"老鼠{asked.answer}"
