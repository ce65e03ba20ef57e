import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from toy_scenes import LABELS, LEFT, RIGHT, Painter, ToyNetwork, Vandal, describe, manual_measure, sprite, trial

from lantu.evaluation.report import as_json, as_text, write_sheet
from lantu.evaluation.results import SuiteResult
from lantu.evaluation.retrieval import Retrieval
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.suites import FRECHET, evaluate, judge_captions
from lantu.types import Caption

PAIRS = [("disc", "ring"), ("cross", "wedge"), ("square", "disc")]


@pytest.fixture(scope="module")
def scorer():
    return Scorer(Retrieval.from_sprites(ToyNetwork(), LABELS, sprite))


def trials_of(suite, **more):
    return [trial(suite, [(a, "red", LEFT), (b, "blue", RIGHT)], key=str(i), **more) for i, (a, b) in enumerate(PAIRS)]


def all_trials():
    chinese = trials_of("language", language="zh", prompt=None, phrasing="free")
    chinese = [dataclasses.replace(its, prompt=f"{its.prompt}。") for its in chinese]
    return [*trials_of("pairs"), *trials_of("caption"), *trials_of("reconstruction"), *trials_of("language"), *chinese]


def test_a_perfect_generator_reaches_the_ceiling_everywhere(scorer):
    trials = all_trials()
    told = []
    painter = Painter(trials)
    suites = evaluate(
        painter, trials, scorer, manual_measure, describe, seed=5, batch=2, progress=lambda *p: told.append(p)
    )
    assert list(suites) == ["reconstruction", "pairs", "language", "caption"]
    for suite in suites.values():
        assert suite.score == suite.round_trip == suite.ceiling == suite.of_round_trip == 1
        assert suite.interval[0] < 0.9
    rebuilt = suites["reconstruction"].details["score"]
    assert rebuilt["psnr"] == pytest.approx(100)
    assert (rebuilt["lpips"], rebuilt[FRECHET]) == pytest.approx((0, 0), abs=1e-6)
    assert (
        suites["language"].details["score"] | {"en": 1, "zh": 1, "free": 1, "template": 1}
        == (suites["language"].details["score"])
    )
    assert told[-1] == (15, 15)
    assert painter.seeds[:3] == [5, 6, 7]


def test_a_blind_generator_reaches_nothing_but_the_ceiling_stays(scorer):
    trials = all_trials()
    suites = evaluate(Vandal(trials), trials, scorer, manual_measure, describe)
    for suite in suites.values():
        assert (suite.score, suite.round_trip, suite.of_round_trip, suite.ceiling) == (0, 0, 0, 1)
    assert suites["reconstruction"].details["score"]["lpips"] > 0.1
    assert suites["reconstruction"].details["score"][FRECHET] > 0.1


def test_captions_of_other_pictures_count_as_shuffled(scorer):
    trials = trials_of("caption")

    class Rambler(Vandal):
        def caption(self, images, language):
            return ["some discs"] * len(images)

    details = evaluate(Rambler(trials), trials, scorer)["caption"].details["score"]
    assert details["named"] == details["shuffled"] == pytest.approx(2 / 3)
    assert details["all"] == details["score"] == 0
    assert details["some"] == pytest.approx(1 / 3)
    details = evaluate(Rambler(trials), trials, scorer, lexicon={"en": ["some disc"]})["caption"].details["score"]
    assert details["named"] == 0


APPLE_DOG = (("apple",), ("dog",))


@pytest.mark.parametrize(
    ("caption", "language", "wrong"),
    [
        ("an apple on the left and a dog on the right", "en", set()),
        ("an apple", "en", {"all"}),
        ("an apple, a dog and a cat", "en", {"nothing_else"}),
        ("an apple and a hot dog", "en", {"all", "nothing_else"}),
        ("an apple, a dog, an apple", "en", {"once"}),
        ("an apple apple and a dog", "en", {"once"}),
        ("an apple and a dog 苹苹苹", "en", {"once", "in_language"}),
        (Caption("an apple and a dog", ended=False), "en", {"ended"}),
        ("左边一个苹果，右边一只狗", "zh", set()),
        ("左边一个苹果，右边一只狗 picture", "zh", {"in_language"}),
        ("an apple and a dog", "zh", {"all", "in_language"}),
        ("苹果和狗，排成一排一排", "zh", {"once"}),
        ("3D风格，一个苹果和一只狗", "zh", set()),
    ],
)
def test_a_caption_is_right_only_as_a_whole(caption, language, wrong):
    (asked,) = trials_of("caption", language=language)[:1]
    words = APPLE_DOG if language == "en" else (("苹果",), ("狗", "小狗"))
    lexicon = {"en": {"apple", "dog", "cat", "hot dog"}, "zh": {"苹果", "狗", "小狗", "猫"}}
    (verdict,) = judge_captions([dataclasses.replace(asked, words=words)], [caption], lexicon)
    parts = ("all", "nothing_else", "once", "in_language", "ended")
    assert {name for name in parts if not verdict[name]} == wrong
    assert verdict["score"] == (not wrong)


def test_captions_of_own_drawings_are_asked_of_the_drawings(scorer):
    trials = trials_of("own_caption")
    suite = evaluate(Painter(trials), trials, scorer)["own_caption"]
    assert suite.score == suite.round_trip == suite.ceiling == 1
    assert suite.exhibits[0].caption == trials[0].prompt
    blind = evaluate(Vandal(trials), trials, scorer)["own_caption"]
    assert (blind.score, blind.round_trip, blind.ceiling) == (0, 0, 0)


def test_reports(scorer, tmp_path):
    trials = all_trials()
    suites = evaluate(Painter(trials), trials, scorer, shown=2)
    values = json.loads(json.dumps(as_json(suites)))
    assert values["pairs"] | {"score": 1, "ceiling": 1, "round_trip": 1, "n": 3} == values["pairs"]
    text = as_text(suites)
    assert all(name in text for name in suites)
    assert "100.0%" in text
    write_sheet(suites, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    assert (sheet == suites["pairs"].exhibits[0].trial.image[32, 16]).all(-1).any()
    assert len(suites["pairs"].exhibits) == 2


def test_no_trials_make_no_suites(scorer):
    assert evaluate(Painter([]), [], scorer) == {}


def test_the_interval_of_a_distance_begins_at_zero():
    low, high = SuiteResult(2, {"score": {"score": 0.1}}, error=0.2).interval
    assert low == 0
    assert high == pytest.approx(0.1 + 1.96 * 0.2)
