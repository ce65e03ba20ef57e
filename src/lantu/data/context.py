"""Documents of several pictures: the earlier ones define what the last is to be like.

style     captions that don't mention the style, pictures that share one
naming    made-up words for things: "a zorp" is a cat, here; a plan before the last one says what it stands for
pairs     before and after the same kind of change, several times, without words; then the plan of the last picture
retrieved captions like the last one, and their pictures (retrieval, arXiv:2309.02591)
plain     captions and pictures without a common theme
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
from lantu.types import CodeGrid, Document, Part, Role, Sample

ExampleKind = Literal["style", "naming", "pairs", "retrieved", "plain"]


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
    """Single things under made-up words, each thing always under the same word.

    The last thing occurred before. A plan precedes it. Before a picture it lists the words so far, with the thing
    behind the requested word, and then that thing ("blick, zorp cat; cat"). Before a word it names the thing in the
    picture, then lists the things, with the word behind the requested one ("cat; dog, cat zorp").

    Args:
        drawn: the word comes before its picture, else after it.
    """
    words: dict[str, str] = {}
    parts: list[Part] = []
    for sample, grid in zip(samples, grids, strict=True):
        key = sample.objects[0].concept
        name = english.one(words.setdefault(key, word(rng)))
        parts += [name, CodeGrid(grid)] if drawn else [CodeGrid(grid), name]
    pairs = [(concepts[key].names["en"], made) for key, made in words.items()]
    asked = list(words).index(samples[-1].objects[0].concept)
    plan = [Role("plan"), stood_for(pairs, asked, drawn)]
    parts[-1:] = [*plan, parts[-1]] if drawn else [*plan, Role("assistant"), parts[-1]]
    return Document(tuple(parts), "en")


def pairs_document(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], scenes: tuple[Sample, Sample], concepts: Mapping[str, Concept]
) -> Document:
    """Grids before and after an edit, several times; of the last pair the grid before, and the plan of the grid after.

    Args:
        scenes: of the last pair.
    """
    grids = [CodeGrid(grid) for pair in pairs for grid in pair]
    after = scenes[1]
    change = after.kind if after.kind != "background" else f"{ALL[after.background].words['en'][0]} background"
    return Document((*grids[:-1], Role("plan"), f"{change}{NEXT} {steps(*scenes, concepts, 'en')}"))


def plain_document(captions: Sequence[str], grids: Sequence[np.ndarray], language: str, drawn: bool) -> Document:
    """Captions and pictures in alternation."""
    parts: list[Part] = []
    for caption, grid in zip(captions, grids, strict=True):
        parts += [caption, CodeGrid(grid)] if drawn else [CodeGrid(grid), caption]
    return Document(tuple(parts), language)


def plain_name(concept: Concept, language: str) -> str:
    """A thing's name, in English with an article."""
    return english.one(concept.names["en"]) if language == "en" else concept.names["zh"]


class Pool:
    """Samples that share something: indices of single things by style and by concept."""

    def __init__(self, samples: Sequence[Sample]):
        self.by_style: dict[str, list[int]] = {}
        self.by_concept: dict[str, list[int]] = {}
        for index, sample in enumerate(samples):
            if len(sample.objects) == 1 and sample.kind == "single":
                self.by_style.setdefault(sample.objects[0].style, []).append(index)
                self.by_concept.setdefault(sample.objects[0].concept, []).append(index)

    def of_style(self, count: int, rng: np.random.Generator) -> list[int]:
        """Indices of different things in one style."""
        return some(self.by_style[str(rng.choice(sorted(self.by_style)))], count, rng)

    def of_names(self, count: int, rng: np.random.Generator) -> list[int]:
        """Indices of pictures of fewer things; the last shows a thing that occurred before.

        Half of the time it is the same picture again, the easier half of the exercise: copy what followed a word when
        the word comes back (induction, arXiv:2209.11895).
        """
        known = sorted(self.by_concept)
        keys = [known[number] for number in rng.choice(len(known), min(2, count - 1), replace=False)]
        order = [keys[number % len(keys)] for number in range(count - 1)]
        rng.shuffle(order)
        chosen = [some(self.by_concept[key], 1, rng)[0] for key in order]
        again = int(rng.integers(len(order)))
        return [*chosen, chosen[again] if rng.random() < 0.5 else some(self.by_concept[order[again]], 1, rng)[0]]


def some(choices: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """A random selection, without repetition where there are enough."""
    return [int(choices[number]) for number in rng.choice(len(choices), count, replace=len(choices) < count)]
