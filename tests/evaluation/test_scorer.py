import numpy as np
import pytest
from toy_scenes import BOTTOM, LABELS, LEFT, RIGHT, TOP, ToyNetwork, compose, sprite, trial

from lantu.evaluation.retrieval import Retrieval
from lantu.evaluation.scorer import Scorer, regions
from lantu.types import Placed


@pytest.fixture(scope="module")
def scorer():
    return Scorer(Retrieval.from_sprites(ToyNetwork(), LABELS, sprite))


def verdict(scorer, asked, objects):
    return scorer.judge([asked], [compose([Placed(*item) for item in objects])])[0]


PAIR = trial("pairs", [("disc", "red", LEFT), ("cross", "blue", RIGHT)])


def test_both_in_their_places_in_any_style_and_size(scorer):
    assert scorer.judge([PAIR], [PAIR.image])[0] == {"score": 1, "there": 1, "some": 1}
    moved = [("cross", "red", (0.6, 0.05, 0.9, 0.35)), ("disc", "blue", (0.0, 0.5, 0.4, 0.9))]
    assert verdict(scorer, PAIR, moved)["score"] == 1


def test_swapped_is_there_but_not_right(scorer):
    swapped = [("cross", "blue", LEFT), ("disc", "red", RIGHT)]
    assert verdict(scorer, PAIR, swapped) == {"score": 0, "there": 1, "some": 0}


def test_one_missing(scorer):
    assert verdict(scorer, PAIR, [("disc", "red", LEFT)]) == {"score": 0, "there": 0, "some": 0.5}


def test_above_and_below(scorer):
    asked = trial("pairs", [("ring", "red", BOTTOM), ("square", "blue", TOP)])
    assert scorer.judge([asked], [asked.image])[0]["score"] == 1
    assert verdict(scorer, asked, [("ring", "red", TOP), ("square", "blue", BOTTOM)])["score"] == 0


def test_one_thing_may_be_anywhere(scorer):
    asked = trial("single", [("wedge", "red", (0.1, 0.1, 0.9, 0.9))])
    assert verdict(scorer, asked, [("wedge", "blue", (0.5, 0.5, 1.0, 1.0))])["score"] == 1
    assert verdict(scorer, asked, [("disc", "red", (0.1, 0.1, 0.9, 0.9))])["score"] == 0


def test_a_rebuilt_thing_must_be_where_it_was(scorer):
    asked = trial("reconstruction", [("disc", "red", (0.0, 0.0, 0.4, 0.4))])
    assert scorer.judge([asked], [asked.image])[0]["score"] == 1
    assert verdict(scorer, asked, [("disc", "red", (0.5, 0.5, 0.9, 0.9))])["score"] == 0


def test_counts(scorer):
    corners = [(x, y, x + 0.4, y + 0.4) for x in (0.05, 0.55) for y in (0.05, 0.55)]
    asked = trial("counts", [("square", "red", box) for box in corners[:3]])
    assert scorer.judge([asked], [asked.image])[0] == {"score": 1, "number": 1, "concept": 1}
    four = [("square", "blue", box) for box in corners]
    assert verdict(scorer, asked, four) == {"score": 0, "number": 0, "concept": 1}
    others = [("ring", "blue", box) for box in corners[:3]]
    assert verdict(scorer, asked, others) == {"score": 0, "number": 1, "concept": 0}
    assert verdict(scorer, asked, []) == {"score": 0, "number": 0, "concept": 0}


def test_style_is_told_apart_from_concept(scorer):
    asked = trial("style", [("disc", "red", LEFT)])
    assert scorer.judge([asked], [asked.image])[0] == {"score": 1, "concept": 1}
    assert verdict(scorer, asked, [("disc", "blue", LEFT)]) == {"score": 0, "concept": 1}
    assert verdict(scorer, asked, [("ring", "red", LEFT)]) == {"score": 1, "concept": 0}
    assert verdict(scorer, asked, []) == {"score": 0, "concept": 0}


def test_three_things_are_looked_for_where_they_were():
    boxes = [(0.0, 0.0, 0.5, 0.25), LEFT, RIGHT]
    asked = trial("single", [("disc", "red", box) for box in boxes])
    assert regions(asked, np.zeros((40, 80, 3)))[0] == (0, 0, 40, 10)
