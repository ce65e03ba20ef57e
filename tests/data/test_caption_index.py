"""Pictures are found by the words of their captions."""

import pytest

from lantu.data.retrieval import CaptionIndex, words
from lantu.errors import DataError

pytest.importorskip("faiss")
CAPTIONS = [
    ["a cat on the left", "左边一只猫"],
    ["a dog in the Noto style", "一只狗，Noto风格"],
    ["three cats", "三只猫"],
    ["a cat on the left", "猫"],
    ["a lion"],
]


@pytest.fixture(scope="module")
def memory():
    return CaptionIndex(CAPTIONS)


def test_the_nearest_comes_last_and_no_caption_twice(memory):
    found = memory.search("a cat on the left", 2)
    assert found[-1][1] == "a cat on the left"
    assert len({caption for _, caption in found}) == 2
    assert 4 not in dict(found)


def test_both_languages_and_rare_words_count(memory):
    assert memory.search("画一只狗", 1)[0][0] == 1
    assert memory.search("something in the noto style", 1)[0][0] == 1
    assert memory.search("a lion and other things", 1)[0][0] == 4


def test_what_does_not_fit_is_passed_over(memory):
    assert 0 not in dict(memory.search("a cat on the left", 3, lambda picture: picture != 0))
    assert memory.search("a cat", 5, lambda picture: False) == []


def test_unknown_words_find_something_or_nothing_but_never_fail(memory):
    assert len(memory.search("qwerty", 2)) <= 2
    assert memory.search("", 1) is not None


def test_without_captions_there_is_nothing_to_search():
    with pytest.raises(DataError, match="no captions"):
        CaptionIndex([[], []])


def test_of_a_data_folder(data):
    memory = CaptionIndex.of(data, 5)
    assert max(memory.pictures) < 5


def test_words():
    assert words("Two Cats, 两只猫") == ["two", "cat", "两", "只", "猫", "两只", "只猫"]
