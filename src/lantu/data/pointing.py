"""Exercises in finding a thing by its name: questions about scenes that are told in words (recall, arXiv:2312.04927).

    where is the dog? cat left, owl top, dog right     →     dog; cat, owl, dog right: on the right
    is there a fish? cat, owl                          →     fish; cat, owl: no

Plans are written in this way (``lantu.data.plans``), and to find a name again must be learnt before they can be right.
A document with a picture holds one step of it, and is long; these are short and hold little else. Often the scene is
not told before, but given piece by piece in the plan, as a picture would: what is learnt is what stands behind each.
Of those that is the most: some ten thousand of them, with little else beside, make the head that finds a name.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lantu.data import english
from lantu.data.captions import pick
from lantu.data.gallery import Concept
from lantu.data.plans import COMMA, PLACES, THEN, by_place, followed, found, marked, plan
from lantu.data.questions import ASKED, SIDES, YES, named, spelled
from lantu.tokens.document import NEXT
from lantu.types import Given, Sample

MOST = 4  # things
THERE, WHERE = 0.6, 0.25  # shares of kinds of questions; the rest ask what is somewhere
SYLLABLES = ("bl", "dr", "f", "gr", "k", "l", "m", "n", "pl", "qu", "sn", "t", "v", "w", "z")
VOWELS = ("a", "e", "i", "o", "u", "oo", "ee")
ENDS = ("b", "ck", "ft", "g", "lm", "nk", "p", "rp", "sh", "x", "zz")


class Exercise(NamedTuple):
    """Attributes:
    asked: a question, or an instruction.
    told: the scene in words.
    noted: the plan.
    answer: "" where the plan is all.
    pieces: of the plan that only the scene tells, in their order; none where more in it does not follow from the rest.
    """

    asked: str
    told: str
    noted: str
    answer: str = ""
    pieces: Sequence[str] = ()


def word(rng: np.random.Generator) -> str:
    """A word that means nothing: zorp, blick."""
    return "".join(str(rng.choice(part)) for part in (SYLLABLES, VOWELS, ENDS))


def exercise(concepts: Mapping[str, Concept], language: str, rng: np.random.Generator) -> Exercise:
    """One by chance.

    Args:
        concepts: by key, those of the gallery; two at least.
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
        asked = spelled(ASKED[language]["there"], thing, language, rng)
        shown = [(name, YES[language][True]) for name in names]
        noted = found(thing.names[language], shown, {at} if there else (), language)
        return Exercise(asked, COMMA[language].join(names), noted, YES[language][there], names)
    if chance < THERE + WHERE:
        asked = spelled(ASKED[language]["where"], things[at], language, rng)
        noted = found(names[at], pairs, {at}, language)
        return Exercise(asked, written(pairs, language), noted, SIDES[language][places[at]])
    asked = str(rng.choice(ASKED[language][places[at]]))
    noted = by_place(things[at], places[at], language)
    return Exercise(asked, written(pairs, language), noted, named(things[at], language))


def change(
    before: Sample, after: Sample, concepts: Mapping[str, Concept], language: str, rng: np.random.Generator
) -> Exercise:
    """One about an instruction, from the scenes before and after it."""
    seen = plan(before, concepts, language)
    noted = followed(before, after, concepts, language)
    return Exercise(pick(after.captions[language], rng), seen, noted, pieces=seen.split(COMMA[language]))


def naming(concepts: Mapping[str, Concept], rng: np.random.Generator) -> Exercise:
    """One about made-up words for things, as ``lantu.data.context`` asks of pictures: a zorp cat a blick owl a zorp."""
    known = list(concepts.values())
    order = rng.permutation(len(known))[: int(rng.integers(1, 4))]
    pairs = {int(at): (known[at].names["en"], word(rng)) for at in order}
    shown = [*pairs, *(int(at) for at in rng.choice(order, int(rng.integers(3))))]
    asked, drawn = int(rng.choice(order)), bool(rng.random() < 0.5)
    thing, made = pairs[asked]
    lines = [(english.one(name), it) if drawn else (it, english.one(name)) for it, name in (pairs[at] for at in shown)]
    line = " ".join(f"{one} {other}" for one, other in lines)
    noted = stood_for(list(pairs.values()), list(pairs).index(asked), drawn)
    return Exercise(f"{line} {english.one(made) if drawn else thing}", "", noted, "" if drawn else english.one(made))


def stood_for(pairs: Sequence[tuple[str, str]], at: int, drawn: bool) -> str:
    """The plan that goes by made-up words: "blick, zorp cat; cat" before a cat is drawn, "cat; dog, cat zorp" else.

    Args:
        pairs: each thing's name, and the word for it.
        at: which of them is asked for.
    """
    thing = pairs[at][0]
    if drawn:
        return f"{marked([(made, thing) for thing, made in pairs], {at}, 'en')}{THEN['en']}{thing}"
    return found(thing, pairs, {at}, "en")


def unfold(noted: str, pieces: Sequence[str]) -> list[str]:
    """A plan, whose pieces from its second step on become what is given: parts of a document."""
    rest = noted.partition(NEXT)[2].lstrip()
    parts, noted = [noted.removesuffix(rest)], rest
    for piece in pieces:
        learnt, _, noted = noted.partition(piece)
        parts += [learnt, Given(piece)] if learnt else [Given(piece)]
    return [*parts, noted] if noted else parts


def written(pairs: Sequence[tuple[str, str]], language: str) -> str:
    """Pairs as pieces of a plan."""
    return marked(pairs, range(len(pairs)), language)
