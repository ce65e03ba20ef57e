import re

import numpy as np
import pytest
from fake_gallery import concept, make_gallery

from lantu.data.backgrounds import ALL
from lantu.data.captions import Content, captions, say
from lantu.data.heldout import held_out_pair, held_out_style
from lantu.data.phrases import PHRASES
from lantu.data.scenes import Composer
from lantu.data.trials import FREE, trials
from lantu.errors import DataError
from lantu.evaluation.trial import SUITES

NEW_PAIRS = ("pairs", "language", "caption")
SHOWN = ("single", "counts", "style")


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(make_gallery(), size=32, snap=8)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_is_made_whole_and_the_same_again(composer, suite):
    made = trials(composer, suite, 12)
    assert len(made) == 12
    assert len({trial.key for trial in made}) == 12
    for trial in made:
        assert trial.suite == suite
        assert trial.image.shape == (32, 32, 3)
        assert trial.expected
        assert trial.prompt
    again = trials(composer, suite, 12)
    assert [(trial.prompt, trial.expected) for trial in again] == [(trial.prompt, trial.expected) for trial in made]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(again, made, strict=True))


@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite != "reconstruction"])
def test_suites_with_questions_ask_in_both_languages_and_another_seed_asks_others(composer, suite):
    made = trials(composer, suite, 12)
    assert {trial.language for trial in made} == {"en", "zh"}
    assert all(re.search("[一-鿿]", trial.prompt) for trial in made if trial.language == "zh")
    assert all(trial.prompt.isascii() for trial in made if trial.language == "en")
    assert [trial.expected for trial in trials(composer, suite, 12, seed=1)] != [trial.expected for trial in made]


@pytest.mark.parametrize("suite", SUITES)
def test_every_true_picture_is_the_composed_one(composer, suite):
    for trial in trials(composer, suite, 6):
        x0, y0, x1, y1 = (round(edge * 32) for edge in trial.expected[0].box)
        sprite = composer.gallery.sprite(trial.expected[0].concept, trial.expected[0].style)
        assert tuple(trial.image[(y0 + y1) // 2, (x0 + x1) // 2]) == tuple(sprite[0, 0, :3])


@pytest.mark.parametrize("suite", NEW_PAIRS)
def test_pairs_are_new_but_their_drawings_are_not(composer, suite):
    for trial in trials(composer, suite, 24):
        first, second = trial.expected
        assert held_out_pair(first.concept, second.concept)
        assert not any(held_out_style(placed.concept, placed.style) for placed in trial.expected)
        assert second.box[0] >= first.box[2] or second.box[1] >= first.box[3]


@pytest.mark.parametrize("suite", SHOWN)
def test_single_things_are_ones_that_training_shows(composer, suite):
    for trial in trials(composer, suite, 24):
        assert len({placed.concept for placed in trial.expected}) == 1
        assert not any(held_out_style(placed.concept, placed.style) for placed in trial.expected)


def test_the_first_thing_named_on_the_left_is_on_the_left(composer):
    for trial in trials(composer, "pairs", 40):
        first, second = trial.expected
        (left, top, *_), (right, bottom, *_) = first.box, second.box
        if left < right:
            assert re.search("on the left and|^左边", trial.prompt)
        else:
            assert top < bottom
            assert re.search(" above |^上面", trial.prompt)
        name = trial.words[0][0]
        assert trial.prompt.index(name) < trial.prompt.index(trial.words[1][0])


def test_counts_ask_for_two_to_four_of_a_kind(composer):
    made = trials(composer, "counts", 30)
    assert {len(trial.expected) for trial in made} == {2, 3, 4}
    numbers = {"en": {2: "two", 3: "three", 4: "four"}, "zh": {2: "两", 3: "三", 4: "四"}}
    assert all(trial.prompt.startswith(numbers[trial.language][len(trial.expected)]) for trial in made)


def test_style_trials_name_the_style(composer):
    words = {"noto": "Noto|诺托", "twemoji": "Twemoji|推特", "fluent-3d": "3D", "fluent-flat": "flat|扁平"}
    for trial in trials(composer, "style", 20):
        assert re.search(words[trial.expected[0].style], trial.prompt)


def test_the_same_content_is_asked_for_in_both_languages_plainly_and_freely(composer):
    made = trials(composer, "language", 32)
    for start in range(0, 32, 4):
        group = made[start : start + 4]
        assert len({trial.key.split(":")[0] for trial in group}) == 1
        assert len({trial.expected for trial in group}) == 1
        ways = {(trial.language, trial.phrasing) for trial in group}
        assert ways == {("en", "template"), ("zh", "template"), ("en", "free"), ("zh", "free")}
        assert len({trial.prompt for trial in group}) == 4


@pytest.mark.parametrize("language", PHRASES)
def test_no_caption_is_put_as_the_free_phrases_are(language):
    cat_and_tree = (concept("cat"), concept("tree"))
    taught = {phrase for phrases in PHRASES[language].values() for phrase in phrases}
    assert len(set(FREE[language])) >= 8
    assert not taught & set(FREE[language])
    rng = np.random.default_rng(0)
    content = Content("beside", cat_and_tree, "noto", "white")
    said = {text for _ in range(500) for text in captions(content, rng)[language]}
    asked = {say(phrase, cat_and_tree, language) for phrase in FREE[language]}
    assert not [(free, text) for free in asked for text in said if free in text]
    assert all(thing.names[language] in free for free in asked for thing in cat_and_tree)


def test_captioning_knows_all_names_of_what_is_there(composer):
    for trial in trials(composer, "caption", 12):
        assert len(trial.words) == len(trial.expected)
        for words, placed in zip(trial.words, trial.expected, strict=True):
            assert words[0] == composer.gallery.concepts[placed.concept].names[trial.language]
            assert words[0] in trial.prompt


def test_an_unknown_suite_is_an_error(composer):
    with pytest.raises(DataError, match="poems: choose from reconstruction"):
        trials(composer, "poems", 1)


def test_scenes_anywhere_are_judged_before_plain_or_graded_backgrounds():
    composer = Composer(make_gallery(), size=32, placement="anywhere")
    asked = trials(composer, "reconstruction", 60)
    samples = [composer.sample("val", 500_000 + index) for index in range(60)]
    drawn = [bool(ALL[sample.background].drawn) for sample, _ in samples]
    assert any(drawn)
    for trial, (sample, image), before_scenery in zip(asked, samples, drawn, strict=True):
        assert trial.expected == sample.objects
        assert np.array_equal(trial.image, image) != before_scenery


def test_a_model_of_scenes_anywhere_is_asked_for_up_to_six_things():
    asked = trials(Composer(make_gallery(), size=64, placement="anywhere"), "counts", 10)
    assert [len(trial.expected) for trial in asked] == [2, 3, 4, 5, 6] * 2
    assert [trial.language for trial in asked] == ["en"] * 5 + ["zh"] * 5
    assert asked[4].prompt.startswith("six ")
    assert len({trial.expected[0].box for trial in asked}) == 10
