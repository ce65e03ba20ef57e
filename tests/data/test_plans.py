"""Plans say what stands where, in both languages."""

from fake_gallery import concept, make_gallery

from lantu.data.layouts import BOTTOM, LEFT, RIGHT, TOP, TOP_LEFT, square
from lantu.data.plans import plan, steps
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
        "a cat on the left, a dog on the right, white background; a dog on the right, pink background"
    )
    assert steps(before, after, CONCEPTS, "zh") == "左边一只猫，右边一只狗，白色背景; 右边一只狗，粉色背景"
