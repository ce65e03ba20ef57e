"""CM3Leon (Yu et al. 2023, arXiv:2309.02591), first stage: retrieval-augmented, causally masked pretraining.

A document of a picture and its caption comes after one to three others that were found for it in the training set
itself; a share comes alone. What is cut out and moved to the end is the picture, the caption, or a run of either
(``lantu.recipes.causal_masking``). ``lantu assemble --memory DATA`` joins the model with the pictures that it may find
when it draws; ``cm3leon_instruct`` is the second stage.
"""

from pathlib import Path

from pydantic import BaseModel, Field

from lantu.errors import RecipeError
from lantu.recipes import language
from lantu.recipes.causal_masking import RetrievedDocuments, Spans, Weighted
from lantu.recipes.corpus import Corpus
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import AROUND, LanguageSetup, LanguageTask
from lantu.recipes.memory import Asking, Looks, Memory
from lantu.recipes.next_token import captioned


class RetrievalSettings(BaseModel):
    """How documents are found, and how much of what is learnt.

    Attributes:
        found: documents before one, at most; 0 for a model that is not taught retrieval, which makes no memory.
        alone: share of the documents that come without any.
        found_weight: weight of an id of a found document in the loss (0.1 in arXiv:2211.12561).
        runs: share of the documents whose end is a run of the picture's codes.
        gaps: share whose end is a run of the caption's words.
        looks: how pictures are looked at: by the vision "network", by colours and edges ("plain"), or not ("none").
        ways: queries by caption for each picture; there is one more by the picture, where it is looked at.
        kept: documents that are kept for each query.
        forgotten: share of a query's words that are dropped.
        nearest: cosine above which a document is too similar to the query's own, or to another that was found.
        same: share of equal codes above which two pictures are the same.
    """

    found: int = Field(3, ge=0, le=16)
    alone: float = Field(0.3, ge=0, le=1)
    found_weight: float = Field(0.1, ge=0, le=1)
    runs: float = Field(0.1, ge=0, le=1)
    gaps: float = Field(0.03, ge=0, le=1)
    looks: Looks = "network"
    ways: int = Field(3, ge=1, le=64)
    kept: int = Field(4, ge=1, le=64)
    forgotten: float = Field(0.2, ge=0, lt=1)
    nearest: float = Field(0.9, gt=0, le=1)
    same: float = Field(0.9, gt=0, le=1)


class Cm3LeonRecipe(LanguageRecipe, RetrievalSettings):
    """A language recipe with found documents and causal masking."""


class Task(LanguageTask):
    """The next ids of causally masked documents after found ones."""

    def __init__(self, recipe: Cm3LeonRecipe, data: Path):
        setup = LanguageSetup(recipe, data)
        learnt = Weighted(setup.model, setup.corpus, retrieved(recipe, recipe, setup), recipe.found_weight)
        super().__init__(setup, [(1.0, learnt)], captioned(setup))
        self.flops_per_sample *= 1 + (1 - recipe.alone) * (1 + recipe.found) / 2 if recipe.found else 1


def retrieved(recipe: LanguageRecipe, settings: RetrievalSettings, setup: LanguageSetup) -> RetrievedDocuments:
    """The documents of the first stage.

    Raises:
        RecipeError: the shares of the spans add up to more than 1, or the model's context is too short for as many.
    """
    spans = Spans(recipe.captioning, recipe.dropped, settings.runs, settings.gaps)
    if recipe.captioning + recipe.dropped + settings.runs + settings.gaps > 1:
        raise RecipeError("captioning, dropped, runs and gaps add up to more than 1", "make them smaller")
    longest, height_width = setup.model.config.max_position_embeddings, setup.pictures.all_grids
    cells = max(height * width for height, width in height_width)
    if (settings.found + 1) * (cells + AROUND) > longest:
        what = f"{settings.found} found documents of {cells} codes take more than the {longest:,} ids that it can read"
        raise RecipeError(what, "find fewer: --set found=N")
    memory = memory_of(settings, setup, setup.corpus) if settings.found else None
    return RetrievedDocuments(setup.corpus, spans, memory, settings.found, settings.alone)


def memory_of(settings: RetrievalSettings, setup: LanguageSetup, corpus: Corpus) -> Memory:
    """The training set as its own memory. Raises DataError: see ``Memory``."""
    names = ("ways", "kept", "forgotten", "nearest", "same")
    how = Asking(**{name: getattr(settings, name) for name in names}, seed=corpus.seed)
    pictures = setup.pictures
    codes = setup.tokenizer.codes_digest()
    return Memory(pictures.shards, pictures.samples, pictures.grids, codes, settings.looks, how)


def cm3leon() -> Cm3LeonRecipe:
    """5.6M parameters, as the recipe "emoji", in documents that are on average 2.4 times as long."""
    recipe = Cm3LeonRecipe(**language.emoji().model_dump())
    recipe.loop = recipe.loop.model_copy(update={"steps": 6000})
    return recipe


def debug() -> Cm3LeonRecipe:
    """The whole story in seconds."""
    return Cm3LeonRecipe(**language.debug().model_dump(), looks="plain")


RECIPES = {"cm3leon": cm3leon, "cm3leon-debug": debug}
