"""Plans say what stands where, in both languages."""

import numpy as np
from fake_gallery import concept, make_gallery

from lantu.data.layouts import BOTTOM, LEFT, RIGHT, TOP, TOP_LEFT, square
from lantu.data.plans import plan, restated, steps, thought
from lantu.data.questions import ask
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


def test_steps_tell_what_becomes_of_what_is_there_and_what_is_to_be():
    before, after = scene(("cat", LEFT), ("dog", RIGHT)), scene(("dog", RIGHT), background="pink")
    assert steps(before, after, CONCEPTS, "en") == (
        "cat left: nothing, dog right, white background: pink; dog right, pink background"
    )
    assert steps(before, after, CONCEPTS, "zh") == "猫左边: 没有，狗右边，白色背景: 粉色;狗右边，粉色背景"

    def noted(before, after, language="en"):
        return steps(before, after, CONCEPTS, language).split(";")[0]

    assert noted(before, scene(("dog", LEFT), ("cat", RIGHT))) == "cat left: right, dog right: left, white background"
    assert noted(before, scene(("cat", LEFT), ("owl", RIGHT))) == "cat left, dog right: owl, white background"
    assert noted(scene(("cat", LEFT)), scene(("cat", RIGHT)), "zh") == "猫左边: 右边，白色背景"
    assert noted(scene(("cat", LEFT)), before) == "cat left, white background"
    alone = scene(("cat", square(1, 1, 6)))
    assert noted(alone, scene(("dog", square(1, 1, 6))), "zh") == "猫: 狗，白色背景"


def test_what_an_instruction_tells_comes_first():
    before = scene(("cat", LEFT), ("dog", RIGHT))

    def first(after, language="en", before=before):
        return restated(before, after, CONCEPTS, language)

    assert first(scene(("cat", LEFT), ("owl", RIGHT))) == "dog: owl"
    assert first(scene(("dog", RIGHT))) == "cat: nothing"
    assert first(scene(("dog", LEFT), ("cat", RIGHT)), "zh") == "猫，狗"
    assert first(scene(("cat", LEFT), ("dog", RIGHT), background="pink"), "zh") == "背景: 粉色"
    assert first(before, before=scene(("cat", LEFT))) == "dog right"
    assert first(scene(("cat", RIGHT)), before=scene(("cat", LEFT))) == "cat: right"


def test_thoughts_say_what_was_asked_for_behind_the_thing_that_it_is_about():
    pair = scene(("cat", LEFT), ("dog", RIGHT))
    wanted = {
        ("where", "en"): {"on the left": "cat; cat left, dog", "on the right": "dog; cat, dog right"},
        ("what", "en"): {"a cat": "left cat", "a dog": "right dog"},
        ("where", "zh"): {"左边": "猫;猫左边，狗", "右边": "狗;猫，狗右边"},
        ("what", "zh"): {"一只猫": "左边猫", "一只狗": "右边狗"},
    }
    for (kind, language), thoughts in wanted.items():
        for seed in range(8):
            asked = ask(kind, pair, CONCEPTS, language, np.random.default_rng(seed))
            assert thought(asked, pair, CONCEPTS, language) == thoughts[asked.answer]
    mice = scene(("mouse", TOP), ("mouse", LEFT))
    answers = set()
    for seed in range(16):
        asked = ask("there", pair, CONCEPTS, "en", np.random.default_rng(seed))
        told = thought(asked, pair, CONCEPTS, "en")
        answers.add(asked.answer)
        thing = CONCEPTS[asked.thing].names["en"]
        first, seen = told.split("; ")
        assert first == thing
        assert seen == (f"cat{' yes' * (thing == 'cat')}, dog{' yes' * (thing == 'dog')}")
        assert (" yes" in seen) == (asked.answer == "yes")
        asked = ask("there", mice, CONCEPTS, "zh", np.random.default_rng(seed))
        assert thought(asked, mice, CONCEPTS, "zh").split(";")[1] == ("老鼠有" if asked.answer == "有" else "老鼠")
    assert answers == {"yes", "no"}
