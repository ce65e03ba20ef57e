import re

import numpy as np
import pytest

from lantu.data.asking import FILLERS, PHRASES, ask, fill, typed
from lantu.data.phrases import PHRASES as CAPTION_PHRASES
from lantu.data.trials import FREE
from lantu.data.wordings import wording

CAPTIONS = {"en": "a cat on the left, Noto style", "zh": "左边一只猫，右边一只狗"}


def asked(language, count=400):
    return [ask(CAPTIONS[language], language, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_asked_for_stays(language):
    words = {"en": ("cat", "left", "noto", "style"), "zh": ("左边一只猫", "右边一只狗")}[language]
    assert all(word in text.lower() for text in asked(language) for word in words)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_are_many_ways_to_ask_and_plain_ones_too(language):
    texts = asked(language)
    assert CAPTIONS[language] in texts
    assert len(set(texts)) > 2 * len(PHRASES[language])


def test_the_same_draw_asks_alike():
    assert asked("zh") == asked("zh")


def test_nobody_asks_in_words_that_only_evaluation_uses():
    for language, ways in PHRASES.items():
        relations = [phrase for phrases in CAPTION_PHRASES[language].values() for phrase in phrases]
        written = {way.replace("{x}", phrase) for way in (*ways, "{x}") for phrase in relations}
        assert not written & set(FREE[language])


def test_questions_are_typed_carelessly_now_and_then():
    rng = np.random.default_rng(0)
    assert {typed("is it?", rng) for _ in range(60)} == {"is it?", "Is it?", "is it", "Is it"}
    assert {typed("有吗？", rng) for _ in range(30)} == {"有吗？", "有吗"}


@pytest.mark.parametrize(
    ("caption", "language"),
    [
        ("a hot dog on the left and a cat to the left of a bee", "en"),
        ("there is a fire engine in the top left corner, a cup of tea at the bottom", "en"),
        ("猫在狗的左边，一只熊猫在右边", "zh"),
        ("三个苹果", "zh"),
    ],
)
def test_words_that_say_nothing_leave_all_others_in_their_order(caption, language):
    rng = np.random.default_rng(0)
    made = {fill(caption, language, rng) for _ in range(300)}
    assert len(made) > 20
    for text in made:
        plain = text.replace("there's", "there is")
        for filler in sorted(FILLERS[language], key=len, reverse=True):
            plain = re.sub(rf"\b{filler} " if language == "en" else filler, "", plain)
        letters = re.sub(r"[ （）()，]|在", "", caption)
        rest = re.sub(r"[ （）()，]|在", "", plain)
        assert rest == letters, text


def test_only_a_place_in_the_picture_stands_in_brackets():
    rng = np.random.default_rng(1)
    english = {fill("a cat on the left, a dog to the left of a bee", "en", rng) for _ in range(300)}
    assert any("(on the left)" in text for text in english)
    assert not any("(to the left" in text for text in english)
    chinese = {fill("猫在左边，狗在猫的右边", "zh", rng) for _ in range(300)}
    assert any("猫（左边）" in text for text in chinese)
    assert not any("（右边）" in text for text in chinese)


def test_what_evaluation_keeps_for_itself_is_never_asked():
    rng = np.random.default_rng(2)
    for language, phrases in CAPTION_PHRASES.items():
        captions = [*phrases["beside"], *(wording("beside", language, rng) for _ in range(3000))]
        asked = {ask(caption, language, rng).lower().rstrip(".?。？") for caption in captions for _ in range(3)}
        assert not asked & {phrase.lower().rstrip(".?。？") for phrase in FREE[language]}
