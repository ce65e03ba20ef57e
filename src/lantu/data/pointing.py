"""Exercises in recall: questions about scenes that are given in words (arXiv:2312.04927).

    where is the dog? cat left, owl top, dog right     →     dog; cat, owl, dog right: on the right
    is there a fish? cat, owl                          →     fish; cat, owl: no

Plans (``lantu.data.plans``) are written like this, and the model must first learn to find a name again. A document with
a picture is long and contains one such step; these documents are short and contain little else. Often the scene is not
given before the question, but piece by piece in the plan, as a picture would give it: then only what stands behind each
piece is learnt. Some ten thousand exercises, with little else beside, form the attention head that finds a name.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lantu.data import english
from lantu.data.captions import pick
from lantu.data.gallery import Concept
from lantu.data.plans import COMMA, PLACES, THEN, by_place, followed, found, marked, plan
from lantu.data.questions import PHRASES, SIDES, YES, named, spelled
from lantu.tokens.document import NEXT
from lantu.types import ContextText, Sample

MOST = 4  # things
THERE, WHERE = 0.6, 0.25  # shares of kinds of questions; the rest ask what is somewhere
SYLLABLES = ("bl", "dr", "f", "gr", "k", "l", "m", "n", "pl", "qu", "sn", "t", "v", "w", "z")
VOWELS = ("a", "e", "i", "o", "u", "oo", "ee")
ENDS = ("b", "ck", "ft", "g", "lm", "nk", "p", "rp", "sh", "x", "zz")


class Exercise(NamedTuple):
    """A question or an instruction about a scene in words.

    Attributes:
        asked: the question, or the instruction.
        scene: in words.
        plan: what is written before the answer.
        answer: "" if there is only a plan.
        pieces: of the plan that only the scene can tell, in their order; none if other parts of the plan can't be
            derived from the rest either.
    """

    asked: str
    scene: str
    plan: str
    answer: str = ""
    pieces: Sequence[str] = ()


def word(rng: np.random.Generator) -> str:
    """A made-up word: zorp, blick."""
    return "".join(str(rng.choice(part)) for part in (SYLLABLES, VOWELS, ENDS))


def exercise(concepts: Mapping[str, Concept], language: str, rng: np.random.Generator) -> Exercise:
    """A random question about a random scene.

    Args:
        concepts: those of the gallery by key; at least two.
    """
    known = list(concepts.values())
    *things, absent = (known[number] for number in rng.permutation(len(known))[: 1 + int(rng.integers(1, MOST + 1))])
    at, chance = int(rng.integers(len(things))), rng.random()
    names = [thing.names[language] for thing in things]
    places = [str(place) for place in rng.permutation(list(SIDES[language]))[: len(things)]]
    pairs = list(zip(names, (PLACES[language][place] for place in places), strict=True))
    if chance < THERE:
        there = bool(rng.random() < 0.5)
        thing = things[at] if there else absent
        asked = spelled(PHRASES[language]["there"], thing, language, rng)
        shown = [(name, YES[language][True]) for name in names]
        line = found(thing.names[language], shown, {at} if there else (), language)
        return Exercise(asked, COMMA[language].join(names), line, YES[language][there], names)
    if chance < THERE + WHERE:
        asked = spelled(PHRASES[language]["where"], things[at], language, rng)
        line = found(names[at], pairs, {at}, language)
        return Exercise(asked, written(pairs, language), line, SIDES[language][places[at]])
    asked = str(rng.choice(PHRASES[language][places[at]]))
    line = by_place(things[at], places[at], language)
    return Exercise(asked, written(pairs, language), line, named(things[at], language))


def change(
    before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str, rng: np.random.Generator
) -> Exercise:
    """An instruction, from the scenes before and after it."""
    scene = plan(before, concepts, language)
    steps = followed(before, after, concepts, language)
    return Exercise(pick(after.captions[language], rng), scene, steps, pieces=scene.split(COMMA[language]))


def naming(concepts: Mapping[str, Concept], rng: np.random.Generator) -> Exercise:
    """Made-up words for things, as in ``lantu.data.context`` but without pictures: a zorp cat a blick owl a zorp."""
    known = list(concepts.values())
    order = rng.permutation(len(known))[: int(rng.integers(1, 4))]
    pairs = {int(at): (known[at].names["en"], word(rng)) for at in order}
    shown = [*pairs, *(int(at) for at in rng.choice(order, int(rng.integers(3))))]
    asked, drawn = int(rng.choice(order)), bool(rng.random() < 0.5)
    thing, made = pairs[asked]
    lines = [(english.one(name), it) if drawn else (it, english.one(name)) for it, name in (pairs[at] for at in shown)]
    line = " ".join(f"{one} {other}" for one, other in lines)
    steps = stood_for(list(pairs.values()), list(pairs).index(asked), drawn)
    return Exercise(f"{line} {english.one(made) if drawn else thing}", "", steps, "" if drawn else english.one(made))


def stood_for(pairs: Sequence[tuple[str, str]], at: int, drawn: bool) -> str:
    """The plan for made-up words: "blick, zorp cat; cat" before a cat is drawn, otherwise "cat; dog, cat zorp".

    Args:
        pairs: each thing's name, and the word for it.
        at: which of them is asked for.
    """
    thing = pairs[at][0]
    if drawn:
        return f"{marked([(made, thing) for thing, made in pairs], {at}, 'en')}{THEN['en']}{thing}"
    return found(thing, pairs, {at}, "en")


def unfold(plan: str, pieces: Sequence[str]) -> list[str]:
    """A plan as parts of a document, in which the pieces from its second step on are ``ContextText``."""
    rest = plan.partition(NEXT)[2].lstrip()
    parts = [plan.removesuffix(rest)]
    for piece in pieces:
        learnt, _, rest = rest.partition(piece)
        parts += [learnt, ContextText(piece)] if learnt else [ContextText(piece)]
    return [*parts, rest] if rest else parts


def written(pairs: Sequence[tuple[str, str]], language: str) -> str:
    """Pairs of a name and a place, as pieces of a plan."""
    return marked(pairs, range(len(pairs)), language)
