import numpy as np
import pytest

from lantu.data.asking import PHRASES, ask, typed
from lantu.data.phrases import PHRASES as CAPTION_PHRASES
from lantu.data.trials import FREE

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
