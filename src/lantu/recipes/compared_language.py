"""lantu's language model as ``lantu compare`` trains it: drawing, captioning, filling and conversation in one stream.

What a rival does with a share of its documents (``lantu.recipes.rivals.pixel_ar`` captions and fills boxes) is learnt
here by the same means, from the same pictures, and paid for from the same budget.
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from lantu.data.gallery import load_gallery
from lantu.data.shards import gallery_of
from lantu.recipes import language
from lantu.recipes.document_sources import Conversation, Filling
from lantu.recipes.documents import Captioned, Mixture
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask
from lantu.recipes.next_token import NextToken, captioned


class ComparedRecipe(LanguageRecipe):
    """How a language model learns several tasks at once; see ``LanguageRecipe`` for the rest.

    Attributes:
        filling, talking: shares of the documents that teach to fill a part of a picture, and to converse.
    """

    filling: float = Field(0.1, ge=0, le=1)
    talking: float = Field(0.1, ge=0, le=1)


class Task(LanguageTask):
    """The next tokens of all documents; one loss. Needs data of scenes, which says what a picture shows."""

    def __init__(self, recipe: ComparedRecipe, data: Path):
        setup = LanguageSetup(recipe, data)
        corpus, concepts = setup.corpus, load_gallery(gallery_of(data)).concepts
        sources = [(recipe.filling, Filling(corpus, concepts)), (recipe.talking, Conversation(corpus, concepts))]
        plain = Captioned(corpus, recipe.captioning, recipe.dropped)
        setup.model.config.lantu["learnt"] = ["filling", "talking", "planning"]
        documents = Mixture(sources, plain, recipe.loop.seed)
        super().__init__(setup, [(1.0, NextToken(setup.model, corpus, documents, recipe.row))], captioned(setup))


def compared() -> ComparedRecipe:
    """As large as the shipped model's."""
    return of(language.emoji())


def debug() -> ComparedRecipe:
    """In seconds."""
    return of(language.debug())


def of(recipe: LanguageRecipe) -> ComparedRecipe:
    """A recipe that draws, with the other tasks."""
    settings: dict[str, Any] = recipe.model_dump()
    return ComparedRecipe(**settings | {"captioning": 0.1, "dropped": 0.1})


RECIPES = {"compared": compared, "compared-debug": debug}
