"""Recipes of the language model."""

from pathlib import Path

from lantu.recipes.documents import Captioned
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask
from lantu.recipes.next_token import NextToken, captioned
from lantu.training.config import LoopConfig


class Task(LanguageTask):
    """Next-token prediction on captioned pictures."""

    def __init__(self, recipe: LanguageRecipe, data: Path):
        setup = LanguageSetup(recipe, data)
        documents = Captioned(setup.corpus, recipe.captioning, recipe.dropped)
        learnt = NextToken(setup.model, setup.corpus, documents, recipe.row)
        super().__init__(setup, [(1.0, learnt)], captioned(setup))


def emoji() -> LanguageRecipe:
    """The shipped model's: 5.6M parameters.

    On one CPU core: 28 documents/s, an hour. The loss of codes should be near 1.2 after 800 steps.
    """
    return LanguageRecipe(
        text_size=2048,
        width=256,
        layers=5,
        heads=4,
        inner=704,
        loop=LoopConfig(
            steps=3000,
            batch_size=32,
            lr=3e-3,
            warmup_steps=150,
            decay_fraction=0.25,
            optimizer="muon",
            sample_every=500,
        ),
    )


def further() -> LanguageRecipe:
    """Continues from a trained model (``--start MODEL``): the shipped one's second half.

    On one CPU core: 28 documents/s, 100 minutes. The loss of codes should end near 0.27.
    """
    recipe = emoji()
    recipe.loop = recipe.loop.model_copy(update={"steps": 5300, "lr": 2e-3, "warmup_steps": 100, "decay_fraction": 0.4})
    return recipe


def debug() -> LanguageRecipe:
    """The whole story in seconds."""
    return LanguageRecipe(
        text_size=512,
        width=64,
        layers=2,
        heads=2,
        inner=192,
        loop=LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"debug": debug, "emoji": emoji, "further": further}
