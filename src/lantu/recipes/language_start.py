"""The language model that training begins with: a new one, or one that goes on learning."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lantu.errors import RecipeError
from lantu.models.lantu.language.grow import grow
from lantu.models.lantu.language.model import deepen, describe, load, make, new_places, revert, sources_of
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.codes import Tokenizer, depth_of
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.more_codes import origins
from lantu.recipes.sources import part_folder
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_vocabulary
from lantu.weights.text_codec import read_codec


@dataclass(frozen=True)
class LanguageStart:
    """A language model before its training.

    Attributes:
        codec: its text tokenizer.
        model: a transformers causal language model.
        added: prefixes of the names of parameters in layers that were added to the model.
    """

    codec: bpe.TextCodec
    model: Any
    added: tuple[str, ...] = ()

    def lr_share(self, name: str, settled: float) -> float:
        """A parameter's share of the learning rate: ``settled`` for those that were there before the added layers."""
        return 1.0 if not self.added or name.startswith(self.added) else settled


def start_language(
    recipe: LanguageRecipe, texts: Iterable[str], grid: tuple[int, int], tokenizer: Tokenizer
) -> LanguageStart:
    """The model that the recipe starts from, or a new one whose text tokenizer is trained on ``texts``.

    Args:
        grid: height and width in codes of the pictures that it will draw.
        tokenizer: whose codes it learns; it may have been given more codes than the model knows.

    Raises:
        RecipeError: the model that it starts from draws other codes.
        ModelError: that model can't be read.
    """
    codebook_size, depth = tokenizer.codebook_size, depth_of(tokenizer)
    if not recipe.start:
        codec = bpe.train(texts, recipe.text_size)
        sizes = (recipe.width, recipe.layers, recipe.heads, recipe.inner)
        vocabulary = Vocabulary(codec.size, codebook_size, depth)
        return LanguageStart(codec, make(vocabulary, *sizes, grid=grid, seed=recipe.loop.seed))
    folder = part_folder(recipe.start, "language")
    vocabulary = read_vocabulary(folder)
    known = vocabulary.codebook_size
    origins_K = origins(tokenizer, known) if isinstance(tokenizer, ImageTokenizer) and vocabulary.depth == 1 else None
    if (known, vocabulary.depth) != (codebook_size, depth) and origins_K is None:
        kinds = [
            f"{codes:,} codes" + (f", {each} a cell" if each > 1 else "")
            for codes, each in ((known, vocabulary.depth), (codebook_size, depth))
        ]
        what = f"{folder} has {kinds[0]}, the image tokenizer {kinds[1]}"
        raise RecipeError(what, "start from a model of the same tokenizer, or from nothing")
    model = load(folder)
    if recipe.origin:
        revert(model, load(part_folder(recipe.origin, "language")), recipe.reverted)
    new = model.config.lantu.get("added", [])
    if recipe.added:
        new = new_places(sources_of(model.config.num_hidden_layers, recipe.added))
        model = deepen(model, recipe.added)
    if origins_K is not None:
        grow(model, vocabulary, origins_K)
        vocabulary = Vocabulary(vocabulary.text_size, codebook_size)
    describe(model.config, vocabulary, grid)
    if new:
        model.config.lantu["added"] = new  # so that a later run can tell them from the others
    return LanguageStart(read_codec(folder), model, tuple(f"model.layers.{place}." for place in new))
