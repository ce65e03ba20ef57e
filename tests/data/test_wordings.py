"""Wordings that are put together from parts say what is there, and where."""

import re

import numpy as np
import pytest
from fake_gallery import concept

from lantu.data.captions import Content, captions, say
from lantu.data.phrases import PHRASES
from lantu.data.trials import FREE
from lantu.data.wordings import PLACES, RELATIVE, SLOTS, spoken, wording

THING = re.compile(r"\{([a-dA-D])\}")
EACH = [(relation, language) for relation in SLOTS for language in PHRASES]


def wordings(relation, language, count=400):
    rng = np.random.default_rng(0)
    return [wording(relation, language, rng) for _ in range(count)]


@pytest.mark.parametrize(("relation", "language"), EACH)
def test_everything_is_said_once(relation, language):
    letters = sorted("abcd"[: len(SLOTS[relation])])
    made = wordings(relation, language)
    assert all(sorted(found.lower() for found in THING.findall(text)) == letters for text in made)
    assert len(set(made)) > 20 * len(letters)
    assert relation in PHRASES[language]


@pytest.mark.parametrize(("relation", "language"), EACH)
def test_everything_is_where_its_slot_is(relation, language):
    made = "\n".join(wordings(relation, language, 3000))
    between = " (is |sits |goes )?" if language == "en" else "(在|位于)"
    for slot, letter in zip(SLOTS[relation], "abcd", strict=False):
        for place in PLACES[language][slot]:
            things = re.findall(rf"\{{(\w)\}}{between}{place}(?=,|;|$|，|；|、| and| with| plus)", made, re.MULTILINE)
            assert {found[0].lower() for found in things} == {letter}, place


@pytest.mark.parametrize(("relation", "language"), [(r, lang) for lang, its in RELATIVE.items() for r in its])
def test_a_thing_is_on_the_side_of_the_other_that_is_said(relation, language):
    made = "\n".join(wordings(relation, language, 5000)).lower()
    for first, second, places in zip("ab", "ba", RELATIVE[language][relation], strict=True):
        for place in places:
            if language == "en":
                phrases = "{%s} " + place + " {%s}", "{%s} sits " + place + " {%s}", place + " {%s} is {%s}"
            else:
                phrases = "{%s}在{%s}的" + place, "把{%s}画在{%s}的" + place, "{%s}" + place + "有{%s}"
            for turned, phrase in zip((False, False, True), phrases, strict=True):
                true, false = (first, second), (second, first)
                true, false = (false, true) if turned else (true, false)
                assert phrase % true in made
                assert phrase % false not in made


@pytest.mark.parametrize("language", PHRASES)
def test_captions_use_them(language):
    cat_and_tree = (concept("cat"), concept("tree"))
    content = Content("beside", cat_and_tree, "none", "white")
    rng = np.random.default_rng(0)
    said = {text for _ in range(100) for text in captions(content, rng)[language]}
    plain = {say(phrase, cat_and_tree, language) for phrase in PHRASES[language]["beside"]}
    assert len(said - plain) > 60
    asked = {phrase.lower() for phrase in FREE[language]}
    assert not asked & {text.lower() for text in wordings("beside", language, 5000)}


def test_only_what_is_said_counts_as_taught():
    assert spoken({"one", "count"}) == []
    assert "on the left-hand side" in str(spoken({"beside"}))
    assert "upper left" not in str(spoken({"beside"}))
