"""CM3Leon (arXiv:2309.02591), second stage: supervised tuning on interleaved tasks.

The model of the first stage (``--start``) learns to follow instructions: questions, filling, editing, conversation,
examples (``multitask``), edges and places (``control_sources``). The rest are documents of the first stage, so that it
goes on drawing with found pictures and without. What the data doesn't know is left out: without a gallery, what its
pictures show; without ``edits``, changes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from lantu.data.context import ExampleKind
from lantu.data.gallery import load_gallery
from lantu.data.shards import read_index
from lantu.errors import RecipeError
from lantu.recipes import cm3leon
from lantu.recipes.causal_masking import Weighted
from lantu.recipes.cm3leon import RetrievalSettings, retrieved
from lantu.recipes.codes import encoder
from lantu.recipes.control_sources import Places, Structure
from lantu.recipes.corpus import Corpus
from lantu.recipes.document_sources import EditPairs, Filling, request_turn
from lantu.recipes.documents import Mixture, Source
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask
from lantu.recipes.multitask import MixtureSettings, sources
from lantu.types import Document


class InstructRecipe(LanguageRecipe, RetrievalSettings, MixtureSettings):
    """The settings of both stages.

    Attributes:
        structure: share of the documents that follow a picture of edges.
        places: share of those that say where things are in numbers.
    """

    questions: float = Field(0.22, ge=0, le=1)
    filling: float = Field(0.08, ge=0, le=1)
    editing: float = Field(0.18, ge=0, le=1)
    talking: float = Field(0.06, ge=0, le=1)
    context: float = Field(0.05, ge=0, le=1)
    recall: float = Field(0.05, ge=0, le=1)
    structure: float = Field(0.08, ge=0, le=1)
    places: float = Field(0.06, ge=0, le=1)
    examples: tuple[ExampleKind, ...] = Field(("naming", "pairs"), min_length=1)


class Task(LanguageTask):
    """The next ids of what the model has to produce, in a mixture of tasks."""

    def __init__(self, recipe: InstructRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("the second stage goes on from the first", "name its run: --start DIR")
        setup = LanguageSetup(recipe, data)
        gallery = read_index(data).get("gallery")
        learnt = ["filling", "talking", *(["planning"] if gallery else [])]
        setup.model.config.lantu |= {"guidance": [], "learnt": learnt}
        tasks = composed(recipe, setup, gallery, data) if gallery else captioned_alone(recipe, setup, data)
        self.documents = Mixture(tasks, retrieved(recipe, recipe, setup), setup.corpus.seed)
        objective = Weighted(setup.model, setup.corpus, self.documents, recipe.found_weight, recipe.words)
        super().__init__(setup, [(1.0, objective)])


def composed(recipe: InstructRecipe, setup: LanguageSetup, gallery: str, data: Path) -> list[tuple[float, Source]]:
    """The tasks of data that says what its pictures show."""
    concepts, corpus = load_gallery(gallery).concepts, setup.corpus
    pairs = EditPairs(recipe.edits, setup.tokenizer)
    lines = Structure(corpus, setup.pictures.shards, encoder(setup.tokenizer, data), recipe.planning)
    return [
        *sources(recipe, corpus, pairs, concepts),
        (recipe.structure, lines),
        (recipe.places, Places(corpus, concepts)),
    ]


def captioned_alone(recipe: InstructRecipe, setup: LanguageSetup, data: Path) -> list[tuple[float, Source]]:
    """The tasks of pictures with captions alone."""
    lines = Structure(setup.corpus, setup.pictures.shards, encoder(setup.tokenizer, data), 0.0)
    return [
        (recipe.filling, Filling(setup.corpus, {})),
        (recipe.talking, Requests(setup.corpus)),
        (recipe.structure, lines),
    ]


@dataclass(frozen=True)
class Requests:
    """A request and its picture, as a turn of conversation."""

    corpus: Corpus

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        turn, language = request_turn(self.corpus, index, rng)
        return Document(tuple(turn), language) if turn else None


def instruct() -> InstructRecipe:
    """From a model of "cm3leon" (``--start RUN --set edits=DIR``)."""
    first = cm3leon.cm3leon()
    loop = first.loop.model_copy(update={"steps": 3000, "lr": 1e-3, "warmup_steps": 50, "decay_fraction": 0.5})
    return InstructRecipe(**first.model_dump()).model_copy(update={"loop": loop, "asked": 0.5})


def debug() -> InstructRecipe:
    """In seconds, from a model of the first stage's recipe of that name."""
    return InstructRecipe(**cm3leon.debug().model_dump(), shots=2)


RECIPES = {"cm3leon_instruct": instruct, "cm3leon_instruct-debug": debug}
