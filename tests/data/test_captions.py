import re

import numpy as np
import pytest
from fake_gallery import THINGS, concept

from lantu.data import chinese, english
from lantu.data.anywhere import SHARES
from lantu.data.backgrounds import ALL
from lantu.data.captions import Content, captions, say, words_for
from lantu.data.layouts import LAYOUTS
from lantu.data.phrases import PHRASES
from lantu.data.styles import STYLES

EVERY_LAYOUT = [layout for _, layout in LAYOUTS] + [
    draw(np.random.default_rng(i)) for _, draw in SHARES for i in range(20)
]
CAT_AND_DOG = (concept("cat"), concept("dog"))


def many(content: Content, count: int = 150) -> dict[str, list[str]]:
    """Captions of the same content, with many seeds."""
    drawn = [captions(content, np.random.default_rng(seed)) for seed in range(count)]
    return {language: [text for each in drawn for text in each[language]] for language in ("en", "zh")}


@pytest.mark.parametrize(
    ("name", "one", "three"),
    [
        ("apple", "an apple", "three apples"),
        ("unicorn", "a unicorn", "three unicorns"),
        ("hourglass", "an hourglass", "three hourglasses"),
        ("umbrella", "an umbrella", "three umbrellas"),
        ("wolf", "a wolf", "three wolves"),
        ("mouse", "a mouse", "three mice"),
        ("fish", "a fish", "three fish"),
        ("strawberry", "a strawberry", "three strawberries"),
        ("monkey", "a monkey", "three monkeys"),
        ("bus", "a bus", "three buses"),
        ("box", "a box", "three boxes"),
        ("peach", "a peach", "three peaches"),
        ("tomato", "a tomato", "three tomatoes"),
        ("piano", "a piano", "three pianos"),
        ("kitchen knife", "a kitchen knife", "three kitchen knives"),
        ("milk", "milk", "three glasses of milk"),
        ("scissors", "scissors", "three pairs of scissors"),
        ("T-shirt", "a T-shirt", "three T-shirts"),
        ("maple leaf", "a maple leaf", "three maple leaves"),
        ("cup of tea", "a cup of tea", "three cups of tea"),
        ("house with a garden", "a house with a garden", "three houses with a garden"),
        ("socks", "socks", "three pairs of socks"),
        ("lightning", "lightning", "three bolts of lightning"),
    ],
)
def test_english_articles_and_plurals(name, one, three):
    assert english.one(name) == one
    assert english.many(name, 3) == three


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("cat", "一只猫", "两只猫"),
        ("fish", "一条鱼", "两条鱼"),
        ("apple", "一个苹果", "两个苹果"),
        ("tulip", "一朵郁金香", "两朵郁金香"),
        ("tree", "一棵树", "两棵树"),
        ("bus", "一辆公交车", "两辆公交车"),
        ("airplane", "一架飞机", "两架飞机"),
        ("umbrella", "一把雨伞", "两把雨伞"),
        ("book", "一本书", "两本书"),
        ("milk", "一杯牛奶", "两杯牛奶"),
    ],
)
def test_chinese_measure_words(name, one, two):
    thing = concept(name)
    assert chinese.counted(thing.names["zh"], thing) == one
    assert chinese.counted(thing.names["zh"], thing, 2) == two


@pytest.mark.parametrize("layout", [layout for _, layout in LAYOUTS], ids=lambda layout: layout.relation)
def test_every_phrase_of_every_layout_names_every_thing(layout):
    keys = ["apple"] * len(layout.slots) if layout.same else ["cat", "tree", "car", "book"][: len(layout.slots)]
    things = tuple(concept(key) for key in keys)
    for language, phrases in PHRASES.items():
        for phrase in phrases[layout.relation]:
            text = say(phrase, things, language)
            assert "{" not in text
            assert all(thing.names[language] in text for thing in things)


def test_the_plainest_phrases_are_what_people_type():
    cat = (concept("cat"),)
    assert say(PHRASES["en"]["one"][0], cat, "en") == "a cat"
    assert say(PHRASES["zh"]["one"][0], cat, "zh") == "一只猫"
    assert say(PHRASES["en"]["beside"][0], CAT_AND_DOG, "en") == "a cat on the left and a dog on the right"
    assert say(PHRASES["zh"]["beside"][0], CAT_AND_DOG, "zh") == "左边一只猫，右边一只狗"
    apples = (concept("apple"),) * 3
    assert say(PHRASES["en"]["count"][0], apples, "en") == "three apples"
    assert say(PHRASES["zh"]["count"][0], apples, "zh") == "三个苹果"


def test_the_plainest_phrase_is_frequent_among_many():
    said = many(Content("beside", CAT_AND_DOG, "noto", "white"))
    plainest = {"en": "a cat on the left and a dog on the right", "zh": "左边一只猫，右边一只狗"}
    for language, texts in said.items():
        assert sum(plainest[language] in text for text in texts) > 0.3 * len(texts)
        assert texts.count(plainest[language]) > 0.08 * len(texts)
        assert len(set(texts)) > 60


def test_which_is_left_is_never_mixed_up():
    said = many(Content("beside", CAT_AND_DOG, "noto", "white"))
    wrong = {
        "en": r"dog on the left|dog to the left|cat on the right|cat to the right|left:? \w* ?dog|cat right|left a dog",
        "zh": r"左边(是|有)?(一只)?狗|右边(是|有)?(一只)?猫|狗在(猫的)?左|猫在(狗的)?右|左狗|右猫",
    }
    for language, texts in said.items():
        assert not [text for text in texts if re.search(wrong[language], text)]


def test_style_and_background_are_told_in_some_captions_and_never_wrongly():
    said = many(Content("one", (concept("cat"),), "fluent-3d", "pink"))
    words = {"en": ("3D", "pink"), "zh": ("3D|立体", "粉")}
    wrong = {"en": "Noto|flat|blob|white|green", "zh": "诺托|扁平|平面|圆润|白|绿"}
    for language, texts in said.items():
        style, background = (
            sum(bool(re.search(word, text)) for text in texts) / len(texts) for word in words[language]
        )
        assert 0.35 < style < 0.65
        assert 0.5 < background < 0.9
        assert not [text for text in texts if re.search(wrong[language], text)]


def test_other_names_are_used_now_and_then():
    balloon = concept("balloon")
    assert words_for(balloon, "en") == ("balloon", "toy balloon")
    said = many(Content("one", (balloon,), "noto", "white"))
    for language, texts in said.items():
        share = sum(words_for(balloon, language)[1] in text for text in texts) / len(texts)
        assert 0.05 < share < 0.3


def test_captions_are_clean_text():
    rng = np.random.default_rng(0)
    keys = list(THINGS)
    for relation in PHRASES["en"]:
        count = next(len(layout.slots) for layout in EVERY_LAYOUT if layout.relation == relation)
        for _ in range(20):
            things = tuple(concept(keys[number]) for number in rng.choice(len(keys), count, replace=False))
            things = things[:1] * count if relation == "count" else things
            content = Content(
                relation, things, list(STYLES)[rng.integers(len(STYLES))], list(ALL)[rng.integers(len(ALL))]
            )
            for language, texts in captions(content, rng).items():
                assert len(texts) == 4
                for text in texts:
                    assert text == text.strip()
                    assert "  " not in text
                    assert not re.search(
                        r"(?i)\ba [aeio]|against (dark|sunset)|[{}]"
                        if language == "en"
                        else r"[,.{}]|的的|上上|日落的|晚霞的|渐变的",
                        text,
                    )


def test_big_and_small_things_keep_their_article_and_measure_word():
    cat, scissors = concept("cat"), concept("scissors")
    assert [say(PHRASES["en"][size][0], (cat,), "en") for size in ("big", "small")] == ["a big cat", "a small cat"]
    assert say(PHRASES["en"]["big"][0], (scissors,), "en") == "big scissors"
    assert say(PHRASES["zh"]["big"][0], (cat,), "zh") == "一只很大的猫"
    assert say(PHRASES["zh"]["small"][0], (scissors,), "zh") == "一把很小的剪刀"
