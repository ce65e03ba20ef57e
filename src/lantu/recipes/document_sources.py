"""Sources of documents beyond drawing and captioning: questions, filling, editing, conversation, examples, recall.

Each source is called with a picture's index and a random generator, and returns a document, or None if that picture
gives none (``lantu.recipes.documents.Source``). Words come before the picture that they are about, so that each cell of
a changed picture is equally far behind the same cell of the one before, and a head of rotary attention finds it by its
distance alone.

Shapes: h w grid.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lantu.data import context
from lantu.data.asking import typed
from lantu.data.context import ExampleKind
from lantu.data.gallery import Concept
from lantu.data.plans import followed, thought
from lantu.data.pointing import change, exercise, naming, unfold
from lantu.data.questions import KINDS, PLANNED, UNPLANNED, listed, question
from lantu.data.retrieval import MOST, CaptionIndex
from lantu.data.shards import Shards
from lantu.recipes.codes import Tokenizer, codes_of
from lantu.recipes.corpus import Corpus
from lantu.tokens.document import goal_of
from lantu.types import CodeGrid, Document, MaskedGrid, Part, Role, Sample

# Shares of the recall exercises: about made-up words, about a change; and of those whose scene is not given in advance.
NAMES, INSTRUCTIONS, UNTOLD = 0.1, 0.2, 0.8
WORDLESS = 0.15  # share of the changed pictures without an instruction before the plan

Concepts = Mapping[str, Concept]


class EditPairs:
    """Pictures before and after an edit, as ``lantu data build emoji --edits N`` makes them.

    Args:
        folder: the data folder; "" for no pairs.

    Attributes:
        samples: before and after in alternation; the edits' captions are those of the picture after.
        grids: their codes.
        changes: kind of change → pairs of it, for changes that can be told from examples alone: an exchange of things,
            and one and the same new background.
    """

    def __init__(self, folder: str, tokenizer: Tokenizer):
        self.samples: list[Sample] = []
        self.grids: Any = ()
        self.changes: dict[str, list[int]] = {}
        if not folder:
            return
        shards = Shards(folder, "edits")
        self.samples = [shards.sample(index) for index in range(len(shards))]
        self.grids = codes_of(folder, tokenizer, "edits")
        for pair, sample in enumerate(self.samples[1::2]):
            if sample.kind in ("swap", "background"):
                name = sample.kind if sample.kind == "swap" else sample.background
                self.changes.setdefault(name, []).append(pair)

    def __len__(self) -> int:
        return len(self.samples) // 2

    def scenes(self, pair: int) -> tuple[Sample, Sample]:
        """Before and after."""
        return self.samples[2 * pair], self.samples[2 * pair + 1]

    def codes(self, pair: int) -> tuple[np.ndarray, np.ndarray]:
        """Before and after, (h, w) each."""
        return self.grids[2 * pair], self.grids[2 * pair + 1]


def either_language(rng: np.random.Generator) -> str:
    """English or Chinese."""
    return ("en", "zh")[rng.integers(2)]


def request_turn(corpus: Corpus, index: int, rng: np.random.Generator) -> tuple[list[Part], str]:
    """A user's request for a picture and the reply with it, and the language; no parts if it has no caption."""
    caption, language = corpus.caption(index, rng)
    if not caption:
        return [], language
    asked = corpus.request(caption, language, rng)
    return [Role("user"), asked, Role("assistant"), CodeGrid(corpus.grids[index])], language


def question_turn(
    sample: Sample, concepts: Concepts, language: str, rng: np.random.Generator, kinds: Sequence[str]
) -> tuple[str, list[Part]]:
    """A question of one of some kinds, and its answer, after a plan where that helps: the kind and the parts.

    "" and no parts if none of the kinds can be asked. Plans do not stay in a conversation, and all answers are learnt:
    so a question that needs a plan may only come last.
    """
    made = question(sample, concepts, language, rng, kinds)
    if not made:
        return "", []
    plan = thought(made, sample, concepts, language) if made.kind in PLANNED else ""
    planned = (Role("plan"), plan, Role("assistant")) if plan else ()
    return made.kind, [Role("user"), typed(made.text, rng), Role("assistant"), *planned, made.answer]


@dataclass(frozen=True)
class Questions:
    """Questions about a picture and their answers, perhaps followed by a request for another picture.

    Attributes:
        most: questions about one picture.
        requests: share of the documents that end with a request.
    """

    corpus: Corpus
    concepts: Concepts
    most: int
    requests: float

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        language = either_language(rng)
        asked: list[Part] = []
        left = set(KINDS)  # each kind once, or the first answer would give away the second
        for kinds in (*[UNPLANNED] * int(rng.integers(self.most)), KINDS):
            remaining = [kind for kind in kinds if kind in left]
            kind, turns = question_turn(self.corpus.samples[index], self.concepts, language, rng, remaining)
            left.discard(kind)
            asked += turns
        if not asked:
            return None
        other = int(rng.integers(len(self.corpus.samples)))
        request = request_turn(self.corpus, other, rng)[0] if rng.random() < self.requests else []
        return Document((*asked[:2], CodeGrid(self.corpus.grids[index]), *asked[2:], *request), language)


@dataclass(frozen=True)
class Filling:
    """The cells of one thing, or of any box, to be filled in after the thing's name, the caption, or no text."""

    corpus: Corpus
    concepts: Concepts

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        sample, codes = self.corpus.samples[index], self.corpus.grids[index]
        language = either_language(rng)
        text, box = "", None
        if sample.objects and rng.random() < 0.8:
            placed = sample.objects[rng.integers(len(sample.objects))]
            box, text = placed.box, listed([self.concepts[placed.concept]], language)
        if rng.random() < 0.25:
            text = self.corpus.caption(index, rng)[0] if rng.random() < 0.8 else ""
        depth = self.corpus.vocabulary.depth
        cells = hole(box, (len(codes), len(codes[0]) // depth), rng)
        return Document((text, MaskedGrid(codes, cells.repeat(depth, 1))), language)


@dataclass(frozen=True)
class Editing:
    """An instruction and a picture, then the plan of the edited picture; or after that plan, the edited picture.

    Attributes:
        planning: share of the documents about the plan.
    """

    pairs: EditPairs
    concepts: Concepts
    planning: float

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        pair = int(rng.integers(len(self.pairs)))
        scenes = self.pairs.scenes(pair)
        before, after = (CodeGrid(codes) for codes in self.pairs.codes(pair))
        language = either_language(rng)
        asked = scenes[1].captions[language]
        text = asked[rng.integers(len(asked))]
        planned = followed(*scenes, self.concepts, language)
        if rng.random() < self.planning:
            return Document((Role("user"), text, before, Role("assistant"), Role("plan"), planned), language)
        # Sometimes without the instruction, as where examples have shown what to do.
        words = (text,) if rng.random() > WORDLESS else ()
        given = (*words, Role("plan"), goal_of(planned))
        return Document((Role("user"), *given, before, Role("assistant"), after), language)


@dataclass(frozen=True)
class Conversation:
    """A request and its picture, sometimes with a word about it, or a question about it."""

    corpus: Corpus
    concepts: Concepts

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        turn, language = request_turn(self.corpus, index, rng)
        if not turn:
            return None
        sample = self.corpus.samples[index]
        things = [self.concepts[placed.concept] for placed in sample.objects]
        words = [listed(things, language)] if things and rng.random() < 0.3 else []
        more = question_turn(sample, self.concepts, language, rng, KINDS)[1] if rng.random() < 0.6 else []
        return Document((*turn, *words, *more), language)


@dataclass(frozen=True)
class Examples:
    """Examples, and one more like them (``lantu.data.context``).

    Attributes:
        kinds: of context, each as often as it stands here.
        shots: examples in a document, at most.
    """

    corpus: Corpus
    concepts: Concepts
    pairs: EditPairs
    kinds: Sequence[ExampleKind]
    shots: int

    @cached_property
    def pool(self) -> context.Pool:
        """Samples that share a style or a concept."""
        return context.Pool(self.corpus.samples)

    @cached_property
    def captions(self) -> CaptionIndex:
        """Pictures to be found by words; made when a document first needs it, which takes seconds and faiss."""
        samples = self.corpus.samples[:MOST]
        return CaptionIndex([list(itertools.chain(*sample.captions.values())) for sample in samples])

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        # The larger of two draws: documents of many examples are more frequent, for they train more predictions.
        count = 1 + max(int(shots) for shots in rng.integers(1, self.shots + 1, size=2))
        language, drawn = either_language(rng), bool(rng.random() < 0.5)
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        if kind == "pairs" and len(self.pairs):
            return self.edits(count, rng)
        if kind == "retrieved":
            return self.retrieved(index, count - 1, rng)
        if kind == "style":
            chosen = self.pool.of_style(count, rng)
        elif kind == "naming":
            chosen = self.pool.of_names(count, rng)
        else:
            chosen = [int(number) for number in rng.integers(len(self.corpus.samples), size=count)]
        samples, grids = [self.corpus.samples[at] for at in chosen], [self.corpus.grids[at] for at in chosen]
        if kind == "style":
            return context.style_document(samples, grids, self.concepts, language)
        if kind == "naming":
            return context.naming_document(samples, grids, self.concepts, rng, drawn)
        captions = [options[rng.integers(len(options))] for options in (one.captions[language] for one in samples)]
        return context.plain_document(captions, grids, language, drawn)

    def edits(self, count: int, rng: np.random.Generator) -> Document:
        """Pairs before and after the same kind of change."""
        changes = self.pairs.changes
        name = "swap" if rng.random() < 0.5 else sorted(changes)[rng.integers(len(changes))]
        chosen = context.some(changes[name], count, rng)
        grids = [self.pairs.codes(pair) for pair in chosen]
        return context.pairs_document(grids, self.pairs.scenes(chosen[-1]), self.concepts)

    def retrieved(self, index: int, count: int, rng: np.random.Generator) -> Document | None:
        """A caption and its picture after others that the caption retrieves, none of them of the same scene."""
        corpus = self.corpus
        caption, language = corpus.caption(index, rng)
        if not caption:
            return None
        asked, own = corpus.request(caption, language, rng), content(corpus.samples[index])
        found = self.captions.search(asked, count, lambda other: content(corpus.samples[other]) != own)
        parts: list[Part] = [part for other, text in found for part in (text, CodeGrid(corpus.grids[other]))]
        return Document((*parts, asked, CodeGrid(corpus.grids[index])), language)


@dataclass(frozen=True)
class Recall:
    """A question or an instruction about a scene that is given in words, or piece by piece in the plan."""

    concepts: Concepts
    pairs: EditPairs

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        language, chance = either_language(rng), rng.random()
        if chance < NAMES:
            made = naming(self.concepts, rng)
        elif len(self.pairs) and chance < NAMES + INSTRUCTIONS:
            pair = int(rng.integers(len(self.pairs)))
            made = change(*self.pairs.scenes(pair), self.concepts, language, rng)
        else:
            made = exercise(self.concepts, language, rng)
        words, plan = f"{made.asked} {made.scene}", [made.plan]
        if made.pieces and rng.random() < UNTOLD:
            words, plan = made.asked, unfold(made.plan, made.pieces)
        asked = (words,) if chance < NAMES else (Role("user"), words, Role("assistant"))
        answer = (Role("assistant"), made.answer) if made.answer else ()
        return Document((*asked, Role("plan"), *plan, *answer), language)


def content(sample: Sample) -> tuple[tuple[str, str], ...]:
    """The things of a picture and their styles, wherever they are and on whatever background."""
    return tuple(sorted((placed.concept, placed.style) for placed in sample.objects))


def hole(box: tuple[float, float, float, float] | None, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Cells that are to be filled, (h, w) bool: those that a box touches, or those of a random box."""
    height, width = shape
    if box is None:
        y0, x0 = int(rng.integers(height)), int(rng.integers(width))
        y1, x1 = int(rng.integers(y0, height)) + 1, int(rng.integers(x0, width)) + 1
    else:
        x0, y0 = int(box[0] * width + 0.01), int(box[1] * height + 0.01)
        x1, y1 = int(np.ceil(box[2] * width - 0.01)), int(np.ceil(box[3] * height - 0.01))
    holes = np.zeros(shape, bool)
    holes[y0:y1, x0:x1] = True
    return holes
