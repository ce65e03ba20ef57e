"""Exercises have the one right answer that their scene gives, and plans that lead to it."""

import numpy as np
import pytest
from fake_gallery import concept, make_gallery

from lantu.data.layouts import LEFT, RIGHT
from lantu.data.plans import COMMA, PLACES, SPACE
from lantu.data.pointing import change, exercise, naming, unfold, word
from lantu.data.questions import SIDES, YES
from lantu.types import ContextText, Placed, Sample

CONCEPTS = make_gallery().concepts
NAMES = {language: [thing.names[language] for thing in CONCEPTS.values()] for language in COMMA}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_asked_for_is_said_behind_its_name_and_behind_no_other(language):
    comma, space = COMMA[language], SPACE[language]
    sides = {answer: PLACES[language][place] for place, answer in SIDES[language].items()}
    seen = set()
    for seed in range(120):
        made = exercise(CONCEPTS, language, np.random.default_rng(seed))
        first, _, line = made.plan.rpartition(";")
        noted, told = line.strip().split(comma), made.scene.split(comma)
        if made.answer in sides:  # where
            assert not made.pieces
            (at,) = [place for place, piece in enumerate(told) if piece == noted[place]]
            assert noted[at] == first + space + sides[made.answer]
            rest = [name for place, name in enumerate(noted) if place != at]
            assert set(rest) <= set(NAMES[language])
        elif made.answer in YES[language].values():  # there
            yes = space + YES[language][True]
            marks = [piece.removeprefix(name) for piece, name in zip(noted, made.pieces, strict=True)]
            assert list(made.pieces) == told
            assert [mark for mark in marks if mark] == ([yes] if made.answer == YES[language][True] else [])
            assert (first in made.pieces) == (made.answer == YES[language][True])
        else:  # what
            assert not made.pieces
            (at,) = [place for place, piece in enumerate(told) if sorted(piece) == sorted(made.plan)]
            assert made.plan in (f"{place}{space}{told[at].removesuffix(space + place)}" for place in sides.values())
        seen.add((made.answer, len(told)))
    assert len(seen) > 12


def test_a_change_is_asked_for_of_a_scene_in_words():
    cat, dog, owl = (
        Placed(concept(name).key, "noto", box)
        for name, box in zip(("cat", "dog", "owl"), (LEFT, RIGHT, RIGHT), strict=True)
    )
    before = Sample("a", "before", {}, (cat, dog), "white")
    after = Sample("b", "replace", {"en": ("replace the dog with an owl",)}, (cat, owl), "white")
    made = change(before, after, CONCEPTS, "en", np.random.default_rng(0))
    assert made.asked == "replace the dog with an owl"
    assert made.scene == "cat left, dog right, white background"
    assert made.plan == ("dog: owl; cat left, dog right: owl, white background; cat left, owl right, white background")
    assert unfold(made.plan, made.pieces) == [
        *("dog: owl; ", "cat left", ", ", "dog right", ": owl, ", "white background"),
        "; cat left, owl right, white background",
    ]


def test_made_up_words_stand_for_what_they_stood_for_before():
    seen = set()
    for seed in range(60):
        made = naming(CONCEPTS, np.random.default_rng(seed))
        if made.answer:  # told
            thing, noted = made.plan.split("; ")
            word = made.answer.split(" ", 1)[1]
            assert made.asked.endswith(f" {thing}")
            assert f"{thing} {made.answer}" in made.asked
            assert f"{thing} {word}" in noted.split(", ")
        else:  # drawn
            noted, thing = made.plan.split("; ")
            word = made.asked.rsplit(" ", 1)[1]
            assert f"{word} {thing}" in made.asked
            assert f"{word} {thing}" in noted.split(", ")
        seen.add((bool(made.answer), noted.count(",")))
    assert seen == {(told, more) for told in (True, False) for more in range(3)}


def test_a_plan_unfolds_into_what_is_given_and_what_is_learnt():
    parts = unfold("cat; cat yes, dog", ["cat", "dog"])
    assert parts == ["cat; ", "cat", " yes, ", "dog"]
    assert [isinstance(part, ContextText) for part in parts] == [False, True, False, True]
    assert unfold("鱼;猫，狗", ["猫", "狗"]) == ["鱼;", "猫", "，", "狗"]


def test_words_that_mean_nothing_differ():
    rng = np.random.default_rng(0)
    assert len({word(rng) for _ in range(50)}) > 40
