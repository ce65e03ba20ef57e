"""Documents of several pictures, whose earlier ones say what the last is to be like.

style     captions that don't tell the style, pictures that share one
naming    made-up words for things: "a zorp" is a cat, here; the last is noted down before it is drawn or told
pairs     before and after the same kind of change, again and again, without a word; of the last what it is to become
retrieved captions like the last one, and their pictures (retrieval, arXiv:2309.02591)
plain     captions and pictures of no common thread
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from lantu.data import english
from lantu.data.backgrounds import ALL
from lantu.data.gallery import Concept
from lantu.data.plans import steps
from lantu.data.pointing import stood_for, word
from lantu.tokens.document import NEXT
from lantu.types import CodeGrid, Document, Part, Sample, Turn

Kind = Literal["style", "naming", "pairs", "retrieved", "plain"]


def style_document(
    samples: Sequence[Sample], grids: Sequence[np.ndarray], concepts: Mapping[str, Concept], language: str
) -> Document:
    """Single things that share a style, each after its name.

    Args:
        samples: of one thing each, all in one style; their codes are ``grids``.
    """
    parts: list[Part] = []
    for sample, grid in zip(samples, grids, strict=True):
        parts += [plain_name(concepts[sample.objects[0].concept], language), CodeGrid(grid)]
    return Document(tuple(parts), language)


def naming_document(
    samples: Sequence[Sample],
    grids: Sequence[np.ndarray],
    concepts: Mapping[str, Concept],
    rng: np.random.Generator,
    drawn: bool,
) -> Document:
    """Single things under made-up words, the same thing under the same one.

    Before the last of them, which was there before, a plan goes through the words up to then, and says behind this one
    what it stands for, and the name of that again ("blick, zorp cat; cat"); or tells what the picture shows, goes
    through the things, and says behind this one its word ("cat; dog, cat zorp").

    Args:
        drawn: the word comes before its picture, else behind it.
    """
    words: dict[str, str] = {}
    parts: list[Part] = []
    for sample, grid in zip(samples, grids, strict=True):
        key = sample.objects[0].concept
        name = english.one(words.setdefault(key, word(rng)))
        parts += [name, CodeGrid(grid)] if drawn else [CodeGrid(grid), name]
    pairs = [(concepts[key].names["en"], made) for key, made in words.items()]
    asked = list(words).index(samples[-1].objects[0].concept)
    plan = [Turn("plan"), stood_for(pairs, asked, drawn)]
    parts[-1:] = [*plan, parts[-1]] if drawn else [*plan, Turn("lantu"), parts[-1]]
    return Document(tuple(parts), "en")


def pairs_document(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], scenes: tuple[Sample, Sample], concepts: Mapping[str, Concept]
) -> Document:
    """Grids before and after, and again; of the last only that before, and a plan of what it is to become.

    Args:
        scenes: the last pair's.
    """
    grids = [CodeGrid(grid) for pair in pairs for grid in pair]
    after = scenes[1]
    change = after.kind if after.kind != "background" else f"{ALL[after.background].words['en'][0]} background"
    return Document((*grids[:-1], Turn("plan"), f"{change}{NEXT} {steps(*scenes, concepts, 'en')}"))


def plain_document(captions: Sequence[str], grids: Sequence[np.ndarray], language: str, drawn: bool) -> Document:
    """Captions and pictures by turns."""
    parts: list[Part] = []
    for caption, grid in zip(captions, grids, strict=True):
        parts += [caption, CodeGrid(grid)] if drawn else [CodeGrid(grid), caption]
    return Document(tuple(parts), language)


def plain_name(concept: Concept, language: str) -> str:
    return english.one(concept.names["en"]) if language == "en" else concept.names["zh"]


class Pool:
    """Which samples share something: indices of single things by style and by concept, of pairs by kind of change."""

    def __init__(self, samples: Sequence[Sample]):
        self.by_style: dict[str, list[int]] = {}
        self.by_concept: dict[str, list[int]] = {}
        for index, sample in enumerate(samples):
            if len(sample.objects) == 1 and sample.kind == "single":
                self.by_style.setdefault(sample.objects[0].style, []).append(index)
                self.by_concept.setdefault(sample.objects[0].concept, []).append(index)

    def of_style(self, count: int, rng: np.random.Generator) -> list[int]:
        """Indices of so many different things in one style."""
        return some(self.by_style[str(rng.choice(sorted(self.by_style)))], count, rng)

    def of_names(self, count: int, rng: np.random.Generator) -> list[int]:
        """Indices of so many pictures of fewer things: the last is of a thing that was there before.

        Every second time it is the very picture that was there, which is the easier half of the lesson: to copy what
        stood behind a word when the word comes back (induction, arXiv:2209.11895).
        """
        known = sorted(self.by_concept)
        keys = [known[number] for number in rng.choice(len(known), min(2, count - 1), replace=False)]
        order = [keys[number % len(keys)] for number in range(count - 1)]
        rng.shuffle(order)
        chosen = [some(self.by_concept[key], 1, rng)[0] for key in order]
        again = int(rng.integers(len(order)))
        return [*chosen, chosen[again] if rng.random() < 0.5 else some(self.by_concept[order[again]], 1, rng)[0]]


def some(choices: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """So many of them, by chance."""
    return [int(choices[number]) for number in rng.choice(len(choices), count, replace=len(choices) < count)]
