"""Words that a model was taught, and those that it was not."""

import json
import time
from pathlib import Path

import pytest

from lantu.errors import ModelError
from lantu.tokens.words import RELATED, WORDS, Lexicon

SHIPPED = Path(__file__).parents[2] / "models" / "lantu-emoji"
KNOWN = Path(__file__).parent / "known_prompts.txt"


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.load(SHIPPED)


@pytest.mark.parametrize(
    ("prompt", "words", "nearest"),
    [
        ("a kaaba", ["kaaba"], "church"),
        ("a catt", ["catt"], "cat"),
        ("an aple and a dogg", ["aple", "dogg"], "apple"),
        ("a kitty on the left", ["kitty"], "cat"),
        ("高铁", ["高铁"], "火车"),
        ("左边一只猫，右边一辆高铁", ["高铁"], "火车"),
        ("🕋", ["kaaba"], "church"),
        ("кот", ["кот"], None),
    ],
)
def test_what_was_never_taught_is_told_with_the_nearest(lexicon, prompt, words, nearest):
    found = lexicon.unknown(prompt)
    assert [one.word for one in found] == words
    assert nearest is None or nearest in found[0].nearest
    assert all(any(word in warning for warning in lexicon.warnings(prompt)) for word in words)


@pytest.mark.parametrize(("word", "nearest"), [("鞋子", ("运动鞋", "高跟鞋")), ("桌子", ()), ("大兔子", ("兔子",))])
def test_a_common_ending_makes_no_word_near(lexicon, word, nearest):
    assert lexicon.nearest(word, "zh") == nearest


def test_only_what_has_no_meaning_near_may_be_a_slip(lexicon):
    """A "hut" is a house, and no hat mistyped; "bun" has no near name, but is too short to tell."""
    assert lexicon.nearest("hut", "en") == ("house", "school", "hospital")
    assert lexicon.nearest("bun", "en") == ()
    assert lexicon.nearest("hatt", "en") == ("hat",)


def test_known_prompts_raise_no_alarm(lexicon):
    prompts = KNOWN.read_text(encoding="utf-8").splitlines()
    assert len(prompts) >= 100
    alarms = {prompt: found for prompt in prompts if (found := lexicon.unknown(prompt))}
    assert not alarms
    assert all(lexicon.names_something(prompt) for prompt in prompts)


def test_the_phrases_of_training_raise_no_alarm(lexicon):
    from lantu.data.asking import PHRASES
    from lantu.data.phrases import PHRASES as CAPTIONS

    things = {"en": ("cat", "a cat", "cats"), "zh": ("猫", "一只猫", "猫")}
    for language, (bare, one, many) in things.items():
        filled = dict.fromkeys("abcdx", one) | dict.fromkeys("ABCD", bare) | {"n": many}
        for phrase in (*PHRASES[language], *(text for texts in CAPTIONS[language].values() for text in texts)):
            text = phrase.replace(" a}", "}").format_map({**filled, **dict.fromkeys(Adjectives, one)})
            assert lexicon.unknown(text) == (), text


Adjectives = ("big", "large", "small", "little", "tiny", "很大的", "大大的", "很小的", "小小的")


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("🐱", "a cat"),
        ("a 🐱 and 🐶", "a cat and a dog"),
        ("a big red 🚗", "a big red car"),
        ("🍎🍎🍎", "three apples"),
        ("🐱🐶", "a cat and a dog"),
        ("一只🐱", "一只猫"),
        ("画🐱🐶", "画猫和狗"),
        ("a cat", "a cat"),
        ("猫。", "猫。"),
        ("❤️\u200d🔥", "a heart and a fire"),
    ],
)
def test_an_emoji_stands_for_its_name(lexicon, prompt, read):
    assert lexicon.expand(prompt) == read
    assert lexicon.unknown(prompt) == ()
    assert any(read in warning for warning in lexicon.warnings(prompt)) == (read != prompt)


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("A CAT!!", "A cat!!"),
        ("CAT", "cat"),
        ("Dogs and cats", "dogs and cats"),
        ("a Cat on the left and a DOG on the Right", "a cat on the left and a dog on the right"),
        ("DRAW A RED CAR", "Draw a red car"),
        ("A Tv and CHRISTMAS TREES", "A TV and Christmas trees"),
        ("two T-SHIRTS", "two T-shirts"),
        ("KNIVES and A PINK heart", "knives and a pink heart"),
        ("🐱 AND A DOG", "a cat and a dog"),
        ("photo of 一只猫 and a Dog", "photo of 一只猫 and a dog"),
    ],
)
def test_capitals_that_were_never_taught_are_warned_of_and_change_no_drawing(lexicon, prompt, read):
    assert lexicon.small_letters(lexicon.expand(prompt)) == read
    assert any(f'write "{read}"' in warning for warning in lexicon.warnings(prompt))
    assert "🐱" in prompt or lexicon.expand(prompt) == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "A cat", "Draw a dog. A cat is on the left", "Three apples", "a T-shirt", "a TV", "一件T恤",
        "Can I have a pizza?",
        "Noto style: a cat", "a cat in 3D style", "a cat in Twemoji style", "a Christmas tree", "a Kaaba", "a NASA",
    ],
)  # fmt: skip
def test_capitals_that_were_taught_or_are_unknown_stay(lexicon, prompt):
    assert lexicon.small_letters(prompt) == prompt
    assert not any("capitals" in warning for warning in lexicon.warnings(prompt))


def test_function_words_in_names_are_no_names():
    words = {"en": ["clock at one o'clock", "the moon behind a cloud", "cat", "TV"], "zh": []}
    its = Lexicon({"names": words, "words": {"en": [], "zh": []}, "emoji": {}})
    for prompt in ("A cat", "The cat", "One TV", "At the left, a cat"):
        assert its.warnings(prompt) == []
    assert its.small_letters("A CLOUD, a Tv") == "A cloud, a TV"


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("five cats", {"five": "four"}),
        ("a dozen eggs and 3 cats", {"dozen": "four", "3": "three"}),
        ("十个苹果", {"十": "四"}),
        ("2只猫和一只狗", {"2": "两"}),
        ("three cats and a dog", {}),
        ("四个苹果", {}),
        ("a cat in 3D style", {}),
        ("a cat (6 25 44 75)", {}),
        ("a cat of 64x64 at 1.5 or 10,000", {}),
        ("七" * 9 + "9" * 9000, {"七": "四"}),
    ],
)
def test_numbers_that_were_never_taught_are_told(lexicon, prompt, told):
    assert {one.word: one.nearest[0] for one in lexicon.unknown(prompt) if one.nearest} == told


def test_numbers_are_not_told_where_captions_may_have_any():
    plain = {"names": {"en": ["cat"], "zh": ["猫"]}, "words": {"en": [], "zh": []}, "emoji": {}}
    assert Lexicon(plain).unknown("12 cats, seven cats, 八只猫") == ()
    assert [one.word for one in Lexicon(plain | {"counts": 6}).unknown("6 cats, seven cats, six cats")] == [
        "6",
        "seven",
    ]


@pytest.mark.parametrize("counts", [-1, 12, "four", True, 1.5, None])
def test_a_damaged_count_is_one_line(counts):
    plain = {"names": {"en": [], "zh": []}, "words": {"en": [], "zh": []}, "emoji": {}}
    with pytest.raises(ModelError):
        Lexicon(plain | {"counts": counts})


def test_many_emoji_take_no_long_time(lexicon):
    began = time.process_time()
    lexicon.expand("x🐱" * 1000)
    assert time.process_time() - began < 0.5  # 0.05 s; quadratic it was 0.6 s of 2,000 characters, minutes of 32,000
    assert lexicon.expand("a big red " + "🐱") == "a big red cat"


def test_emoji_are_counted_as_far_as_the_model_counts():
    cat = {"\U0001f431": ["cat", "猫", "a cat", "cats", "只"]}
    plain = {"names": {"en": ["cat"], "zh": ["猫"]}, "words": {"en": [], "zh": []}, "emoji": cat}
    read = {5: "five cats", 6: "six cats", 7: "a cat"}
    assert {n: Lexicon(plain | {"counts": 6}).expand("\U0001f431" * n) for n in read} == read
    assert Lexicon(plain).expand("\U0001f431" * 5) == "a cat"
    assert Lexicon(plain | {"counts": 6}).expand("画" + "\U0001f431" * 6) == "画六只猫"


def test_a_style_that_was_never_taught_is_told(lexicon):
    assert [one.word for one in lexicon.unknown("a cat in Firefox style")] == ["firefox"]
    assert lexicon.unknown("a cat in Twemoji style") == ()


def test_a_prompt_without_anything_known_is_told_first(lexicon):
    assert "names nothing" in lexicon.warnings("a kaaba")[0]
    assert "names nothing" in lexicon.warnings("please draw")[0]
    assert "names nothing" not in lexicon.warnings("a kaaba and a cat")[0]
    assert lexicon.warnings("make the background blue", draws=False) == []
    assert lexicon.warnings("a cat") == []


def test_a_model_without_a_list_is_not_checked(tmp_path):
    assert Lexicon.load(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"names": {"en": "cat", "zh": []}, "words": {}, "emoji": {}}', "[" * 99999]
)
def test_a_damaged_list_is_one_line(tmp_path, text):
    (tmp_path / WORDS).write_text(text)
    with pytest.raises(ModelError, match="delete this file"):
        Lexicon.load(tmp_path)
    (tmp_path / WORDS).write_text(
        json.dumps({"names": {"en": [], "zh": []}, "words": {"en": ["a"], "zh": []}, "emoji": {}})
    )
    (tmp_path / RELATED).write_text(text or '{"en": 7}')
    if text != "{}" and "names" not in text:
        with pytest.raises(ModelError, match="delete this file"):
            Lexicon.load(tmp_path).unknown("高铁")


@pytest.mark.parametrize("names", [[], ["kaaba"], ["a", "b", "c", "d", "e", "f"], "kaaba", [1, 2]])
def test_a_damaged_emoji_among_the_related_is_one_line(tmp_path, names):
    (tmp_path / WORDS).write_text((SHIPPED / WORDS).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / RELATED).write_text(json.dumps({"emoji": {"\N{KAABA}": names}}))
    with pytest.raises(ModelError, match="delete this file"):
        Lexicon.load(tmp_path).expand("\N{KAABA}")


def test_the_shipped_list_is_what_its_script_writes():
    from lantu.data.names import table

    told = json.loads((SHIPPED / WORDS).read_text(encoding="utf-8"))
    everyday = table("worlds/everyday.txt")
    for language in ("en", "zh"):
        assert {words[language][0] for words in everyday.values()} <= set(told["names"][language])
