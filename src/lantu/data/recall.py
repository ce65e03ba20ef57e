"""Exercises in finding what was said: pairs of words, some asked for again (associative recall, arXiv:2312.04927).

    cat left, dog top, owl zorp; owl, cat      →      owl zorp, cat left

A plan is written by such steps alone: what was asked by is found in a line, and what stood behind it said again.
Documents with pictures hold a step or two each, and are long; these are short and hold little else.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lantu.data.gallery import Concept
from lantu.data.plans import COMMA, PLACES, SPACE
from lantu.document import NEXT

PAIRS = (2, 6)  # least and most
SYLLABLES = ("bl", "dr", "f", "gr", "k", "l", "m", "n", "pl", "qu", "sn", "t", "v", "w", "z")
VOWELS = ("a", "e", "i", "o", "u", "oo", "ee")
ENDS = ("b", "ck", "ft", "g", "lm", "nk", "p", "rp", "sh", "x", "zz")


def word(rng: np.random.Generator) -> str:
    """A word that means nothing: zorp, blick."""
    return "".join(str(rng.choice(part)) for part in (SYLLABLES, VOWELS, ENDS))


def exercise(concepts: Mapping[str, Concept], language: str, rng: np.random.Generator) -> tuple[str, str]:
    """What is told and asked, and the answer.

    Args:
        concepts: by key, those of the gallery.
    """
    names = [concept.names[language] for concept in concepts.values()]
    count = int(rng.integers(PAIRS[0], min(PAIRS[1], len(names)) + 1))
    found = [str(name) for name in rng.choice(names, count, replace=False)]
    pairs = [(name, other(names, language, rng)) for name in found]
    if rng.random() < 0.3:  # by the place, or the new name, what it is
        pairs = list({behind: name for name, behind in pairs}.items())
    asked = rng.permutation(len(pairs))[: int(rng.integers(1, len(pairs) + 1))]
    told, wanted = written(pairs, language), COMMA[language].join(pairs[at][0] for at in asked)
    return f"{told}{NEXT} {wanted}", written([pairs[at] for at in asked], language)


def other(names: Sequence[str], language: str, rng: np.random.Generator) -> str:
    """What may stand behind a name: a place, another name, or a word that means nothing."""
    chance = rng.random()
    if chance < 0.5:
        return str(rng.choice(list(PLACES[language].values())))
    return word(rng) if chance < 0.75 and language == "en" else str(rng.choice(names))


def written(pairs: Sequence[tuple[str, str]], language: str) -> str:
    """Pairs as pieces of a plan."""
    return COMMA[language].join(f"{one}{SPACE[language]}{behind}" for one, behind in pairs)
