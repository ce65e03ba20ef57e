"""All kinds of documents in one language model: drawing and captioning, questions, filling, editing, context.

One token stream and one loss; a kind is a layout of documents (``lantu.tokens.document``) and a share of the mixture.
Only what the model is to say by itself is taught: answers, not the pictures that are asked about. Words come before the
picture that they are about, so that each cell of a changed picture is equally far behind the same cell of the one
before, and a head of rotary attention finds it by its distance alone. Guidance goes on being taught beside it
(``lantu.recipes.guidance_distillation``).

Shapes: R rows, N ids a row, h w grid.
"""

import itertools
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lantu.data import context
from lantu.data.asking import typed
from lantu.data.context import Kind
from lantu.data.gallery import load_gallery
from lantu.data.plans import followed, thought
from lantu.data.pointing import change, exercise, naming, unfold
from lantu.data.questions import FOUND, KINDS, QUICK, listed, question
from lantu.data.retrieval import MOST, Memory
from lantu.data.shards import Shards, read_index
from lantu.errors import RecipeError
from lantu.recipes import guidance_distillation
from lantu.recipes.codes import codes_of
from lantu.recipes.guidance_distillation import GuidedRecipe, Lessons
from lantu.recipes.language import next_token_losses, one_each
from lantu.tokens.document import goal_of, to_ids
from lantu.training.task import Metrics
from lantu.types import CodeGrid, Document, Given, Part, Patch, Sample, Turn

# Documents of about one length make a group. Always as many groups, for each is a pass through the network, and when
# several processes share its weights all must make the same passes.
GROUPS = 4
# Shares of the exercises in recall: about made-up words, about a change; and of those whose scene is not told before.
NAMES, INSTRUCTIONS, UNTOLD = 0.1, 0.2, 0.8
WORDLESS = 0.15  # of changed pictures, no instruction stands before the plan


class MixtureRecipe(GuidedRecipe):
    """How a model that draws learns all else.

    Attributes:
        edits: data folder of pairs before and after an instruction (``lantu data build emoji --edits N``); "" for none.
        questions, filling, editing, talking, context, recall: shares of the plain documents; the rest are as in the
            language recipe.
        planning: share of the documents of editing that are about what is to be drawn, in words, not about drawing it.
        examples: kinds of context (``lantu.data.context``), each as often as it stands here.
        shots: examples in a document of context, at most.
        asked_of_one: questions about one picture, at most.
        wishes: share of the documents of questions that end with a wish for another picture.
        several: share of the lessons of guidance that are about several of one thing, which is drawn worst and rare.
        words: what a token of text weighs beside a code, for answers are short and pictures long.
    """

    edits: str = ""
    questions: float = Field(0.2, ge=0, le=1)
    filling: float = Field(0.12, ge=0, le=1)
    editing: float = Field(0.22, ge=0, le=1)
    planning: float = Field(0.3, ge=0, le=1)
    talking: float = Field(0.06, ge=0, le=1)
    context: float = Field(0.14, ge=0, le=1)
    recall: float = Field(0.08, ge=0, le=1)
    examples: tuple[Kind, ...] = Field(("style", "naming", "pairs", "retrieved", "plain"), min_length=1)
    shots: int = Field(4, ge=1)
    asked_of_one: int = Field(3, ge=1)
    wishes: float = Field(0.2, ge=0, le=1)
    several: float = Field(0.25, ge=0, le=1)
    words: float = Field(3.0, gt=0)


class Task(guidance_distillation.Task):
    """Documents of all kinds in, next ids out."""

    def __init__(self, recipe: MixtureRecipe, data: Path):
        super().__init__(recipe, data)
        self.shots, self.asked_of_one, self.words = recipe.shots, recipe.asked_of_one, recipe.words
        self.planning, self.wishes, self.several = recipe.planning, recipe.wishes, recipe.several
        self.examples = recipe.examples
        self.model.config.lantu["learnt"] = ["filling", "talking", "planning"]
        self.shares = {
            "question": recipe.questions,
            "filling": recipe.filling,
            "editing": recipe.editing if recipe.edits else 0.0,
            "talking": recipe.talking,
            "context": recipe.context,
            "recall": recipe.recall,
        }
        if sum(self.shares.values()) > 1:
            raise RecipeError("the shares of the mixture are more than all of it", "make them smaller")
        place = read_index(data).get("gallery")
        if not place:
            raise RecipeError(f"{data} does not say what its pictures show", "build it with lantu data build emoji")
        self.concepts = load_gallery(place).concepts
        self.pool = context.Pool(self.samples)
        self.pairs: list[Sample] = []
        if recipe.edits:
            shards = Shards(recipe.edits, "edits")
            self.pairs = [shards.sample(index) for index in range(len(shards))]  # before and after by turns
            self.pair_grids = codes_of(recipe.edits, self.tokenizer, "edits")
            # Changes that examples alone can tell: an exchange, and always the same new background.
            self.changes: dict[str, list[int]] = {}
            for index, sample in enumerate(self.pairs[1::2]):
                if sample.kind in ("swap", "background"):
                    change = sample.kind if sample.kind == "swap" else sample.background
                    self.changes.setdefault(change, []).append(index)

    @cached_property
    def memory(self) -> Memory:
        """Pictures to be found by words; made when a document first asks for it, which takes seconds and faiss."""
        return Memory([list(itertools.chain(*sample.captions.values())) for sample in self.samples[:MOST]])

    def lessons(self, indices: Sequence[int], first: int) -> Lessons:
        """What teaches guidance, a share of it on pictures of several of one thing."""
        rng = np.random.default_rng((self.recipe.loop.seed, 4, first))
        counted = context.some(self.counted, len(indices), rng) if self.counted else indices
        chances = rng.random(len(indices))
        chosen = np.where(chances < self.several, counted, indices)
        return super().lessons(chosen.tolist(), first)

    def document(self, index: int, position: int) -> Document:
        rng = np.random.default_rng((self.recipe.loop.seed, 3, position))
        chance = rng.random()
        for kind, share in self.shares.items():
            if chance < share:
                made = getattr(self, kind)(index, rng)
                return made or super().document(index, position)
            chance -= share
        return super().document(index, position)

    def question(self, index: int, rng: np.random.Generator) -> Document | None:
        """A question about a picture and its answer, perhaps behind others before it, and before a wish for another."""
        language = ("en", "zh")[rng.integers(2)]
        asked: list[Part] = []
        left = set(KINDS)  # each is asked once, or the answer before would tell
        for kinds in (*[QUICK] * int(rng.integers(self.asked_of_one)), KINDS):
            kind, turns = self.asked(index, language, rng, [kind for kind in kinds if kind in left])
            left.discard(kind)
            asked += turns
        if not asked:
            return None
        other = int(rng.integers(len(self.samples)))
        wished = self.wish(other, rng)[0] if rng.random() < self.wishes else []
        return Document((*asked[:2], CodeGrid(self.grids[index]), *asked[2:], *wished), language)

    def wish(self, index: int, rng: np.random.Generator) -> tuple[list[Part], str]:
        """A turn of a request and its picture, and its language; nothing where no caption tells what to ask for."""
        caption, language = self.caption(index, rng)
        if not caption:
            return [], language
        asked = self.request(caption, language, rng)
        return [Turn("user"), asked, Turn("lantu"), CodeGrid(self.grids[index])], language

    def asked(
        self, index: int, language: str, rng: np.random.Generator, kinds: Sequence[str]
    ) -> tuple[str, list[Part]]:
        """A kind of question, and its turn of question and answer, after a plan where that helps; nothing where nothing
        can be asked.

        Plans do not stay in a conversation: what needs one may only be asked last, for all answers are learnt.
        """
        made = question(self.samples[index], self.concepts, language, rng, kinds)
        if not made:
            return "", []
        noted = thought(made, self.samples[index], self.concepts, language) if made.kind in FOUND else ""
        planned = (Turn("plan"), noted, Turn("lantu")) if noted else ()
        return made.kind, [Turn("user"), typed(made.text, rng), Turn("lantu"), *planned, made.answer]

    def filling(self, index: int, rng: np.random.Generator) -> Document | None:
        """One thing's cells, or any box, filled in: after the thing's name, the caption, or nothing."""
        sample, codes = self.samples[index], self.grids[index]
        language = ("en", "zh")[rng.integers(2)]
        text, box = "", None
        if sample.objects and rng.random() < 0.8:
            placed = sample.objects[rng.integers(len(sample.objects))]
            box, text = placed.box, listed([self.concepts[placed.concept]], language)
        if rng.random() < 0.25:
            text = self.caption(index, rng)[0] if rng.random() < 0.8 else ""
        return Document((text, Patch(codes, hole(box, codes.shape, rng))), language)

    def editing(self, index: int, rng: np.random.Generator) -> Document | None:
        """An instruction and a picture, then the plan of the picture that was asked for; or with that, the picture."""
        pair = int(rng.integers(len(self.pairs) // 2))
        scenes = self.pairs[2 * pair], self.pairs[2 * pair + 1]
        before, after = (CodeGrid(self.pair_grids[2 * pair + which]) for which in (0, 1))
        language = ("en", "zh")[rng.integers(2)]
        asked = scenes[1].captions[language]
        text = asked[rng.integers(len(asked))]
        planned = followed(*scenes, self.concepts, language)
        if rng.random() < self.planning:
            return Document((Turn("user"), text, before, Turn("lantu"), Turn("plan"), planned), language)
        # Now and then without the words, as where examples told what to do.
        words = (text,) if rng.random() > WORDLESS else ()
        told = (*words, Turn("plan"), goal_of(planned))
        return Document((Turn("user"), *told, before, Turn("lantu"), after), language)

    def talking(self, index: int, rng: np.random.Generator) -> Document | None:
        """A request, then the picture, now and then with a word about it, or a question."""
        turn, language = self.wish(index, rng)
        if not turn:
            return None
        things = [self.concepts[placed.concept] for placed in self.samples[index].objects]
        words = [listed(things, language)] if things and rng.random() < 0.3 else []
        more = self.asked(index, language, rng, KINDS)[1] if rng.random() < 0.6 else []
        return Document((*turn, *words, *more), language)

    def context(self, index: int, rng: np.random.Generator) -> Document | None:
        """Examples, and one more like them."""
        # Many oftener than few: with each there is one more to tell apart.
        count = 1 + max(int(shots) for shots in rng.integers(1, self.shots + 1, size=2))
        language, drawn = ("en", "zh")[rng.integers(2)], bool(rng.random() < 0.5)
        kind = self.examples[rng.integers(len(self.examples))]
        if kind == "pairs" and self.pairs:
            change = "swap" if rng.random() < 0.5 else sorted(self.changes)[rng.integers(len(self.changes))]
            some = self.changes[change]
            chosen = context.some(some, count, rng)
            grids = [(self.pair_grids[2 * at], self.pair_grids[2 * at + 1]) for at in chosen]
            scenes = self.pairs[2 * chosen[-1]], self.pairs[2 * chosen[-1] + 1]
            return context.pairs_document(grids, scenes, self.concepts)
        if kind == "retrieved":
            return self.retrieved(index, count - 1, rng)
        if kind == "style":
            chosen = self.pool.of_style(count, rng)
        elif kind == "naming":
            chosen = self.pool.of_names(count, rng)
        else:
            chosen = [int(number) for number in rng.integers(len(self.samples), size=count)]
        samples, grids = [self.samples[at] for at in chosen], [self.grids[at] for at in chosen]
        if kind == "style":
            return context.style_document(samples, grids, self.concepts, language)
        if kind == "naming":
            return context.naming_document(samples, grids, self.concepts, rng, drawn)
        texts = [self.samples[at].captions[language] for at in chosen]
        captions = [options[rng.integers(len(options))] for options in texts]
        return context.plain_document(captions, grids, language, drawn)

    def recall(self, index: int, rng: np.random.Generator) -> Document | None:
        """A question, or an instruction, about a scene that is told in words, or given piece by piece in the plan."""
        language, chance = ("en", "zh")[rng.integers(2)], rng.random()
        if chance < NAMES:
            made = naming(self.concepts, rng)
        elif self.pairs and chance < NAMES + INSTRUCTIONS:
            pair = int(rng.integers(len(self.pairs) // 2))
            made = change(self.pairs[2 * pair], self.pairs[2 * pair + 1], self.concepts, language, rng)
        else:
            made = exercise(self.concepts, language, rng)
        words, noted = f"{made.asked} {made.told}", [made.noted]
        if made.pieces and rng.random() < UNTOLD:
            words, noted = made.asked, unfold(made.noted, made.pieces)
        asked = (words,) if chance < NAMES else (Turn("user"), words, Turn("lantu"))
        answer = (Turn("lantu"), made.answer) if made.answer else ()
        return Document((*asked, Turn("plan"), *noted, *answer), language)

    def retrieved(self, index: int, count: int, rng: np.random.Generator) -> Document | None:
        """A caption and its picture behind others that are found by it, of anything but the same scene."""
        caption, language = self.caption(index, rng)
        if not caption:
            return None
        asked, own = self.request(caption, language, rng), scene(self.samples[index])
        found = self.memory.search(asked, count, lambda other: scene(self.samples[other]) != own)
        parts: list[Part] = [part for other, text in found for part in (text, CodeGrid(self.grids[other]))]
        return Document((*parts, asked, CodeGrid(self.grids[index])), language)

    def rows(self, indices: Any, first: int) -> Any:
        """Documents in rows of about equal lengths: short ones beside short ones, as little padded as can be."""
        documents = [self.document(index, position) for position, index in enumerate(indices, first)]
        written = []
        for document in documents:
            ids, owners = to_ids(document, self.vocabulary, self.encode)
            written.append((ids, np.isin(owners, said(document))))
        written.sort(key=lambda each: len(each[0]))
        edges = cuts([len(ids) for ids, _ in written], GROUPS)
        return [self.tensors(written[start:stop]) for start, stop in itertools.pairwise(edges)]

    def tensors(self, group: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Tensor]:
        """Rows as ``next_token_losses`` takes them, and which of their ids are learnt."""
        packed = one_each([ids for ids, _ in group], self.vocabulary.special("pad"))
        rows = {name: torch.from_numpy(value) for name, value in packed._asdict().items()}
        learnt = one_each([learnt for _, learnt in group], 0).ids.astype(bool)
        return rows | {"learnt": torch.from_numpy(learnt)}

    def plain(self, batch: Any) -> tuple[Tensor, Metrics]:
        told = []
        for rows in batch:
            losses, targets = next_token_losses(self.model, **rows)
            told.append((losses[targets >= 0], targets[targets >= 0]))
        losses, targets = (torch.cat(each) for each in zip(*told, strict=True))
        written = targets < self.vocabulary.text_size
        weights = torch.where(written, self.words, 1.0)
        with torch.no_grad():
            drawn = targets >= self.vocabulary.first_code
            parts: Metrics = {"codes": losses[drawn].mean(), "text": losses[written].mean()}
        return (weights * losses).sum() / weights.sum(), parts


def cuts(lengths: Sequence[int], groups: int) -> list[int]:
    """Where to part rising lengths into so many groups, each padded to its longest, for the least padding.

    Returns:
        the edges: from 0 to the number of lengths.
    """
    count = len(lengths)
    # Of the first so many: the least total in so many groups, and where the last of these begins.
    best = {(0, 0): (0, 0)}
    for group in range(1, min(groups, count) + 1):
        for stop in range(group, count + 1):
            best[group, stop] = min(
                (best[group - 1, start][0] + (stop - start) * lengths[stop - 1], start)
                for start in range(group - 1, stop)
                if (group - 1, start) in best
            )
    edges = [count]
    for group in range(min(groups, count), 0, -1):
        edges.append(best[group, edges[-1]][1])
    return edges[::-1]


def scene(sample: Sample) -> tuple[tuple[str, str], ...]:
    """What is to be seen, wherever it is and on whatever background."""
    return tuple(sorted((placed.concept, placed.style) for placed in sample.objects))


def said(document: Document) -> list[int]:
    """Which parts of a document the model is to say by itself.

    In talk, what it says, and plans before, in all its turns, but what is given; of a caption and a picture, the
    second, and pictures always, for they are also drawn from nothing; of examples, what comes from the plan on, or
    every second part, which answers the one before.
    """
    parts = document.parts
    if any(isinstance(part, Turn) for part in parts):
        speakers = [part.speaker if isinstance(part, Turn) else "" for part in parts]
        if "user" not in speakers:
            return list(range(speakers.index("plan"), len(parts)))
        turns = itertools.accumulate(speakers, lambda last, now: now if now in ("user", "lantu") else last)
        return [n for n, who in enumerate(turns) if who == "lantu" and not isinstance(parts[n], Given)]
    if len(parts) < 3:
        return [number for number, part in enumerate(parts) if not isinstance(part, str) or number == len(parts) - 1]
    return list(range(1, len(parts), 2))


def hole(box: tuple[float, float, float, float] | None, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Cells that are to be filled, (h, w) bool: those that a box touches, or a box by chance."""
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


def emoji() -> MixtureRecipe:
    """The shipped model's, from a model that draws and has had the exercises (``--start MODEL --set edits=DIR``).

    On two CPU cores: 16 documents/s.
    """
    shares = {"questions": 0.46, "filling": 0.06, "editing": 0.21, "talking": 0.07, "context": 0.13, "recall": 0.06}
    loop = {"steps": 2400, "batch_size": 48, "decay_fraction": 0.8}
    return changed({"taught": 0.45, "asked": 0.5, "examples": ("naming", "naming", "pairs")} | shares, loop)


def exercises() -> MixtureRecipe:
    """What comes before it: exercises in recall, and drawing kept (``--start MODEL --set edits=DIR``).

    On two CPU cores: 48 documents/s, 12 minutes.
    """
    others = dict.fromkeys(("questions", "filling", "editing", "talking", "context"), 0.0)
    return changed({"taught": 0.12, "recall": 1.0} | others, {"steps": 500, "batch_size": 64, "decay_fraction": 0.2})


def changed(values: dict[str, Any], loop: dict[str, Any]) -> MixtureRecipe:
    """The recipe of guidance for the shipped model with other values; the old layers of a deepened one move slowly."""
    recipe = MixtureRecipe(**guidance_distillation.emoji().model_dump())
    loop = {"lr": 1e-3, "warmup_steps": 30} | loop
    return recipe.model_copy(update={"settled": 0.2, "loop": recipe.loop.model_copy(update=loop)} | values)


def debug() -> MixtureRecipe:
    """In seconds, from the model of the language recipe of that name."""
    return MixtureRecipe(**guidance_distillation.debug().model_dump(), shots=2)


RECIPES = {"multitask": emoji, "exercises": exercises, "multitask-debug": debug}
