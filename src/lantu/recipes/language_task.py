"""Training of a language model as the loop sees it: a model, a corpus, and a list of objectives.

A language recipe sets up ``LanguageSetup``, and gives ``LanguageTask`` what the model is to learn from it: one or more
objectives, each with a share of every batch.
"""

import itertools
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lantu.data.order import turn
from lantu.engine.backends.native import Language
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import RecipeError
from lantu.models.lantu.language.model import export
from lantu.recipes.codes import Tokenizer, depth_of, load_tokenizer
from lantu.recipes.corpus import Corpus, Pictures
from lantu.recipes.drafts import Drafts
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_start import start_language
from lantu.recipes.sheets import save_captioned, shown_captions
from lantu.tokens.vocabulary import Vocabulary
from lantu.training.task import Metrics, Task
from lantu.weights.language_config import guidance_scales_of

SAMPLING = SamplingParams(guidance=1.5, temperature=0.3)
MOST_DIVIDED, NEAR = 1000, 0.05  # batches that are divided as one, at most; how far a share may then be off
AROUND = 32  # ids of a document beside its codes and its caption: special tokens, sides, and the words of a request


class LanguageSetup:
    """A language model, ready to be trained, and the corpus that it learns from.

    Args:
        tokenizer: what turns pictures into codes; that of the recipe if not given.
    """

    def __init__(self, recipe: LanguageRecipe, data: Path, tokenizer: Tokenizer | None = None):
        self.recipe, self.data = recipe, data
        self.tokenizer = tokenizer or load_tokenizer(recipe.tokenizer)
        self.pictures = Pictures(data, self.tokenizer, recipe.loop.seed)
        self.start = start_language(recipe, self.pictures.texts(), self.pictures.grid, self.tokenizer)
        self.codec, self.model = self.start.codec, self.start.model
        if len(self.pictures.all_grids) > 1:
            self.model.config.lantu["grids"] = [side for grid in self.pictures.all_grids for side in grid]
        self.model.config.lantu["tokenizer"] = self.tokenizer.codes_digest()
        self.vocabulary = Vocabulary(self.codec.size, self.tokenizer.codebook_size, depth_of(self.tokenizer))
        longest = longest_caption(recipe, max(self.pictures.all_grids, key=math.prod))
        self.encoding = self.codec, self.vocabulary, longest, recipe.asked, recipe.loop.seed
        self.corpus = Corpus(self.pictures, *self.encoding, recipe.single, recipe.counted, recipe.named)
        self.data = data

    @cached_property
    def validation(self) -> Corpus | None:
        """The pictures that are kept for validation; None if there are none."""
        if not len(self.pictures.val):
            return None
        return Corpus(Pictures(self.data, self.tokenizer, self.recipe.loop.seed, "val"), *self.encoding)


class Objective(ABC):
    """One thing that a language model learns, from its share of each batch."""

    @abstractmethod
    def batch(self, indices: Sequence[int], first: int) -> Any:
        """What the loss takes: made of the pictures of these indices, which begin at the stream's position ``first``.

        A pure function of its arguments (see ``Task.batch``).
        """

    @abstractmethod
    def loss(self, batch: Any, step: int) -> tuple[Tensor, Metrics]:
        """A scalar to minimise, and the metrics to log."""

    def to(self, device: torch.device) -> None:  # noqa: B027
        """Move frozen helpers, such as a teacher, to the device."""


class LanguageTask(Task):
    """A language model that learns some objectives at once.

    Args:
        objectives: share of the batch and objective; the shares add up to 1.
        validated: what is measured on validation pictures, made of their corpus; None for nothing, where a lower loss
            would not mean a better model.
    """

    gains_by_compiling = True

    def __init__(
        self,
        setup: LanguageSetup,
        objectives: Sequence[tuple[float, Objective]],
        validated: Callable[[Corpus], Objective] | None = None,
    ):
        self.validated = validated(setup.validation) if validated and setup.validation else None
        self.setup, self.recipe, self.model = setup, setup.recipe, setup.model
        self.shares = [share for share, _ in objectives]
        self.objectives = [objective for _, objective in objectives]
        self.networks = {"model": self.model}
        self.notes = setup.corpus.notes
        tokens = setup.pictures.grid[0] * setup.pictures.grid[1] + 20
        self.flops_per_sample = 6.0 * tokens * sum(parameter.numel() for parameter in self.model.parameters())

    def batch(self, step: int, size: int) -> list[Any]:
        """The part of each objective; None where it has none in this batch, see ``edges_of``."""
        first = step * size
        indices = self.setup.corpus.order.indices(first, size).tolist()
        edges = edges_of(self.shares, step, size)
        return [
            objective.batch(indices[start:stop], first + start) if stop > start else None
            for objective, (start, stop) in zip(self.objectives, itertools.pairwise(edges), strict=True)
        ]

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        loss, metrics = torch.zeros(()), {}
        # The last one first: gradients are added up in this order, and a resumed run must add them up as before.
        for objective, part in reversed(list(zip(self.objectives, batch, strict=True))):
            if part is not None:
                value, more = objective.loss(part, step)
                loss, metrics = loss + value, metrics | more
        return loss, metrics

    def validation(self, number: int, size: int) -> Any:
        """Documents of the validation pictures, in the order of the data."""
        corpus = self.setup.validation
        if self.validated is None or corpus is None:
            return None
        indices = turn(number, size, len(corpus.samples))
        return self.validated.batch(indices, number * size) if indices else None

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """The loss of captions and codes, in both directions."""
        assert self.validated is not None
        loss, metrics = self.validated.loss(batch, 0)
        return {"loss": loss, **metrics}

    def to(self, device: torch.device) -> None:
        for objective in self.objectives:
            objective.to(device)

    def compile(self) -> None:
        """Compile the model for all lengths of documents at once, so that a resumed run computes as before."""
        self.model.compile(dynamic=True)

    def lr_share(self, name: str) -> float:
        return self.setup.start.lr_share(name, self.recipe.settled)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Validation pictures above what the model drafts for one caption of each, in alternating languages."""
        val = self.setup.pictures.val
        if captions := shown_captions(val):
            drawn = self._drafts().draw(list(captions.values()), list(captions))
            save_captioned(folder, step, val, captions, drawn)

    def _drafts(self) -> Drafts:
        """The model as it is now, as a generator of pictures."""
        setup, config = self.setup, json.loads(self.model.config.to_json_string())
        weights = {name: value.float().cpu().numpy() for name, value in self._weights().items()}
        language = Language(config, weights)
        grid, guidance_scales = setup.pictures.grid, guidance_scales_of(config)
        return Drafts(language, setup.codec, setup.vocabulary, setup.tokenizer, grid, SAMPLING, guidance_scales)

    def _weights(self) -> dict[str, Tensor]:
        """The weights under the names of the stock model."""
        return self.model.state_dict()

    def export(self, folder: Path) -> None:
        """Write the language model as a model directory keeps it."""
        export(self.model, folder, self.setup.codec)


def longest_caption(recipe: LanguageRecipe, grid: tuple[int, int]) -> int:
    """Ids of the longest caption that a document has room for.

    Raises:
        RecipeError: a row has no room for a picture.
    """
    if not recipe.row:
        return recipe.longest
    room = recipe.row - grid[0] * grid[1] - AROUND
    if room < 1:
        raise RecipeError(f"rows of {recipe.row} ids have no room for a picture", "make rows longer: row")
    return min(recipe.longest, room)


def edges_of(shares: Sequence[float], step: int, size: int) -> list[int]:
    """Where each share of a batch begins, and the last one ends.

    Where a batch is too small for a sample of each share, as many batches as it takes are divided as one.
    """
    ends, several, bounds = list(itertools.accumulate(shares, initial=0.0)), 1, [0]
    for several in range(1, MOST_DIVIDED + 1):
        bounds = [round(several * size * end) for end in ends]
        counts = [last - first for first, last in itertools.pairwise(bounds)]
        wanted = [several * size * share for share in shares]
        if several == 1 and all(count or not share for share, count in zip(shares, counts, strict=True)):
            break
        if all(abs(count - exact) <= NEAR * exact for count, exact in zip(counts, wanted, strict=True)):
            break
    before = step % several * size
    return [min(max(bound - before, 0), size) for bound in bounds]
