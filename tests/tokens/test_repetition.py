"""Where a caption begins to repeat itself."""

import pytest

from lantu.tokens.repetition import first_repeat, without_repeats


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("an apple, an apple apple apple", "an apple"),
        ("a car, a car in the middle in Noto style", "a car"),
        ("a dog, a cat, a cat and a cat in Twemoji style", "a dog, a cat"),
        ("an apple apple", "an apple"),
        ("一只狗、一只狗和一只猫头鹰排成一排", "一只狗"),
        ("一只狗和一只猫排成一排排成一排", "一只狗和一只猫排成一排"),
        ("一个苹果苹苹苹苹", "一个苹果苹"),
    ],
)
def test_it_is_cut_off_there(caption, kept):
    assert without_repeats(caption) == kept
    assert first_repeat(kept) is None


@pytest.mark.parametrize(
    "caption",
    [
        "a cat on the left and a dog on the right",
        "a red cat and a cat",
        "a bow and a bow tie",
        "an apple above an orange and a pear",
        "on the left a cat, on the right a dog",
        "大大的猫",
        "左边一只猫，右边一只狗",
        "上面一个苹果，下面一个西瓜和一个梨",
        "",
    ],
)
def test_other_captions_stay(caption):
    assert without_repeats(caption) == caption
