"""Exercises in finding what was said, and in going on from it (associative recall, arXiv:2312.04927).

    dog, owl; cat left, owl top, dog right     →     cat, owl top, dog right
    dog: car; cat left, dog right              →     cat left, dog right: car; cat left, car right

All plans are written by such steps alone (``lantu.data.plans``). Documents with pictures hold a step or two each, and
are long; these are short and hold little else.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from lantu.data.gallery import Concept
from lantu.data.plans import COMMA, PLACES, SPACE
from lantu.document import NEXT

MOST = 5  # pairs
ABSENT = 0.15  # share of those in which what is asked for was not told
CHANGES = 0.3  # share of the exercises in which something is changed
SYLLABLES = ("bl", "dr", "f", "gr", "k", "l", "m", "n", "pl", "qu", "sn", "t", "v", "w", "z")
VOWELS = ("a", "e", "i", "o", "u", "oo", "ee")
ENDS = ("b", "ck", "ft", "g", "lm", "nk", "p", "rp", "sh", "x", "zz")


def word(rng: np.random.Generator) -> str:
    """A word that means nothing: zorp, blick."""
    return "".join(str(rng.choice(part)) for part in (SYLLABLES, VOWELS, ENDS))


def exercise(concepts: Mapping[str, Concept], language: str, rng: np.random.Generator) -> tuple[str, str]:
    """What is asked and told, and the answer.

    Args:
        concepts: by key, those of the gallery.
    """
    names = [concept.names[language] for concept in concepts.values()]
    if rng.random() < CHANGES:
        return change(names, language, rng)
    count = int(rng.integers(1, min(MOST, len(names) - 1) + 1))
    *found, absent = (str(name) for name in rng.choice(names, count + 1, replace=False))
    pairs = [(name, other(names, language, rng)) for name in found]
    none = rng.random() < ABSENT
    asked = [] if none else sorted(rng.permutation(count)[: int(rng.integers(1, max(1, count - 1) + 1))])
    wanted = absent if none else COMMA[language].join(pairs[at][0] for at in asked)
    return f"{wanted}{NEXT} {written(pairs, language)}", marked(pairs, set(asked), language)


def change(names: Sequence[str], language: str, rng: np.random.Generator) -> tuple[str, str]:
    """One thing becomes another, and all is said again as it is then."""
    count = int(rng.integers(1, min(3, len(names) - 1) + 1))
    *found, new = (str(name) for name in rng.choice(names, count + 1, replace=False))
    pairs = [(name, str(rng.choice(list(PLACES[language].values())))) for name in found]
    at = int(rng.integers(count))
    pieces = written(pairs, language).split(COMMA[language])
    told = f"{pairs[at][0]}: {new}{NEXT} {COMMA[language].join(pieces)}"
    pieces[at] += f": {new}"
    pairs[at] = (new, pairs[at][1])
    return told, f"{COMMA[language].join(pieces)}{NEXT} {written(pairs, language)}"


def other(names: Sequence[str], language: str, rng: np.random.Generator) -> str:
    """What may stand behind a name: a place, another name, or a word that means nothing."""
    chance = rng.random()
    if chance < 0.5:
        return str(rng.choice(list(PLACES[language].values())))
    return word(rng) if chance < 0.75 and language == "en" else str(rng.choice(names))


def written(pairs: Sequence[tuple[str, str]], language: str) -> str:
    """Pairs as pieces of a plan."""
    return COMMA[language].join(f"{one}{SPACE[language]}{behind}" for one, behind in pairs)


def marked(pairs: Sequence[tuple[str, str]], asked: Collection[int], language: str) -> str:
    """All that pairs begin with, and what stands behind those that were asked for: cat, dog right."""
    pieces = (one + (SPACE[language] + behind if at in asked else "") for at, (one, behind) in enumerate(pairs))
    return COMMA[language].join(pieces)
