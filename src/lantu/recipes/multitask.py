"""All tasks in one language model: drawing and captioning, questions, filling, editing, conversation, examples, recall.

One token stream and one loss. A task is a source of documents (``lantu.recipes.document_sources``) and its share of the
mixture. Only what the model has to produce is trained: the answers, not the pictures that are asked about. Guidance
distillation goes on beside it (``lantu.recipes.guidance_distillation``).
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from lantu.data.context import ExampleKind
from lantu.data.gallery import load_gallery
from lantu.data.shards import read_index
from lantu.errors import RecipeError
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes import guidance_distillation
from lantu.recipes.corpus import Corpus
from lantu.recipes.document_sources import (
    Concepts,
    Conversation,
    Editing,
    EditPairs,
    Examples,
    Filling,
    Questions,
    Recall,
)
from lantu.recipes.documents import Captioned, Mixture, Source
from lantu.recipes.guidance_distillation import GuidanceDistillation, GuidanceSettings, check_guidance
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask, Objective
from lantu.recipes.next_token import Replies
from lantu.recipes.style_contrast import StyleContrast


class MixtureSettings(BaseModel):
    """How a model that draws learns the other tasks.

    Attributes:
        edits: data folder of pairs before and after an instruction (``lantu data build emoji --edits N``); "" for none.
        questions, filling, editing, talking, context, recall: shares of the plain documents; the rest are as in the
            language recipe.
        planning: share of the documents of editing whose target is the plan, in words, not the picture.
        examples: kinds of context (``lantu.data.context``), each as often as it stands here.
        shots: examples in a document of context, at most.
        asked_of_one: questions about one picture, at most.
        wishes: share of the documents of questions that end with a request for another picture.
        several: share of the pictures of guidance distillation that show several of one thing, which are rare and drawn
            worst.
        words: weight of a text token relative to a code, for answers are short and pictures long.
        styled: share of each batch, pictures with several names of styles of which one is right
            (``lantu.recipes.style_contrast``); each costs as much as there are styles.
        contrast: weight of that loss.
    """

    edits: str = ""
    questions: float = Field(0.2, ge=0, le=1)
    filling: float = Field(0.12, ge=0, le=1)
    editing: float = Field(0.22, ge=0, le=1)
    planning: float = Field(0.3, ge=0, le=1)
    talking: float = Field(0.06, ge=0, le=1)
    context: float = Field(0.14, ge=0, le=1)
    recall: float = Field(0.08, ge=0, le=1)
    examples: tuple[ExampleKind, ...] = Field(("style", "naming", "pairs", "retrieved", "plain"), min_length=1)
    shots: int = Field(4, ge=1)
    asked_of_one: int = Field(3, ge=1)
    wishes: float = Field(0.2, ge=0, le=1)
    several: float = Field(0.25, ge=0, le=1)
    words: float = Field(3.0, gt=0)
    styled: float = Field(0.0, ge=0, lt=1)
    contrast: float = Field(0.05, ge=0)


class MultitaskRecipe(LanguageRecipe, GuidanceSettings, MixtureSettings):
    """A language recipe with guidance distillation and a mixture of tasks."""


class Task(LanguageTask):
    """The next tokens of all kinds of documents, beside guidance distillation and a contrast of styles."""

    def __init__(self, recipe: MultitaskRecipe, data: Path):
        check_guidance(recipe, recipe.strengths)
        if recipe.taught + recipe.styled > 1:
            raise RecipeError("the shares taught and styled add up to more than 1", "lower one of them")
        setup = LanguageSetup(recipe, data)
        setup.model.config.lantu["learnt"] = ["filling", "talking", "planning"]
        self.pairs = EditPairs(recipe.edits, setup.tokenizer)
        self.documents = mixture(recipe, setup, self.pairs, data)
        replies = Replies(setup.model, setup.corpus, self.documents, recipe.words)
        objectives: list[tuple[float, Objective]] = []
        if recipe.taught:  # not after a larger codebook, which no teacher knows
            teacher = recipe.teacher or recipe.start
            lessons = GuidanceDistillation(setup.model, setup.corpus, teacher, recipe.strengths, recipe.several)
            setup.model.config.lantu["guidance"] = list(recipe.strengths)
            objectives.append((recipe.taught, lessons))
        objectives.append((1 - recipe.taught - recipe.styled, replies))
        if recipe.styled:
            scales = recipe.strengths if recipe.taught else ()
            contrast = StyleContrast(setup.model, setup.corpus, scales, recipe.contrast)
            objectives.append((recipe.styled, contrast))
        super().__init__(setup, objectives)


def mixture(recipe: MultitaskRecipe, setup: LanguageSetup, pairs: EditPairs, data: Path) -> Mixture:
    """The recipe's sources with their shares; the rest are captions and their pictures.

    Raises:
        RecipeError: the shares add up to more than 1, the data doesn't say what its pictures show, or codes have no
            places to fill.
    """
    gallery = read_index(data).get("gallery")
    if not gallery:
        raise RecipeError(f"{data} does not say what its pictures show", "build it with lantu data build emoji")
    if recipe.filling and isinstance(setup.tokenizer, ImageTokenizer) and setup.tokenizer.config.queries:
        what = "filling redraws cells, and the codes of this image tokenizer are a sequence"
        raise RecipeError(what, "leave it out: --set filling=0")
    rest = Captioned(setup.corpus, recipe.captioning, recipe.dropped)
    return Mixture(sources(recipe, setup.corpus, pairs, load_gallery(gallery).concepts), rest, setup.corpus.seed)


def sources(
    recipe: MixtureSettings, corpus: Corpus, pairs: EditPairs, concepts: Concepts
) -> list[tuple[float, Source]]:
    """The sources of all tasks, with their shares."""
    return [
        (recipe.questions, Questions(corpus, concepts, recipe.asked_of_one, recipe.wishes)),
        (recipe.filling, Filling(corpus, concepts)),
        (recipe.editing if recipe.edits else 0.0, Editing(pairs, concepts, recipe.planning)),
        (recipe.talking, Conversation(corpus, concepts)),
        (recipe.context, Examples(corpus, concepts, pairs, recipe.examples, recipe.shots)),
        (recipe.recall, Recall(concepts, pairs)),
    ]


def emoji() -> MultitaskRecipe:
    """The shipped model's, from a model that draws and has had the exercises (``--start MODEL --set edits=DIR``).

    On two CPU cores: 16 documents/s.
    """
    shares = {"questions": 0.46, "filling": 0.06, "editing": 0.21, "talking": 0.07, "context": 0.13, "recall": 0.06}
    loop = {"steps": 2400, "batch_size": 48, "decay_fraction": 0.8}
    return changed({"taught": 0.45, "asked": 0.5, "examples": ("naming", "naming", "pairs")} | shares, loop)


def exercises() -> MultitaskRecipe:
    """The recipe before it: exercises in recall, with some drawing (``--start MODEL --set edits=DIR``).

    On two CPU cores: 48 documents/s, 12 minutes.
    """
    others = dict.fromkeys(("questions", "filling", "editing", "talking", "context"), 0.0)
    return changed({"taught": 0.12, "recall": 1.0} | others, {"steps": 500, "batch_size": 64, "decay_fraction": 0.2})


def changed(values: dict[str, Any], loop: dict[str, Any]) -> MultitaskRecipe:
    """The shipped model's guidance recipe with other values; older layers of a deepened model are trained slowly."""
    recipe = MultitaskRecipe(**guidance_distillation.emoji().model_dump())
    loop = {"lr": 1e-3, "warmup_steps": 30} | loop
    return recipe.model_copy(update={"settled": 0.2, "loop": recipe.loop.model_copy(update=loop)} | values)


def debug() -> MultitaskRecipe:
    """In seconds, from the model of the language recipe of that name."""
    return MultitaskRecipe(**guidance_distillation.debug().model_dump(), shots=2)


RECIPES = {"multitask": emoji, "exercises": exercises, "multitask-debug": debug}
