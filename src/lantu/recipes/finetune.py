"""A language model that draws learns other pictures, and keeps what it could draw.

    lantu train language --recipe finetune --start MODEL --tokenizer MODEL --data DATA --set rehearsed=DRAWINGS

Its text tokenizer and ids stay: a new word is written in pieces that it has. ``trained`` says what learns: LoRA with
the rows of the codes, which suits a few dozen pictures, or everything. A share of every batch is rehearsed: drawings of
its own (``lantu data build drawings``), whose loss is "val_kept" in the log. Where guidance was distilled into it, part
of the pictures follow the token of a guidance scale, so that its single row draws what it learns, too.

Shapes: R rows, N ids a row, n = h·w codes of a picture.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lantu.data.order import Order, turn
from lantu.errors import RecipeError
from lantu.models.lantu.language.model import export
from lantu.recipes.corpus import Corpus, Pictures
from lantu.recipes.documents import Captioned
from lantu.recipes.language_lora import adapt, merged, save_adapter
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask, Objective
from lantu.recipes.next_token import Lesson, NextToken, captioned, code_log_probabilities, lesson
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.sources import part_folder
from lantu.tokens.document import draw_prefix
from lantu.training.config import LoopConfig
from lantu.training.task import Metrics
from lantu.types import Document
from lantu.weights.arrays import read_config
from lantu.weights.language_config import drawing_config


class FinetuneRecipe(LanguageRecipe):
    """How a language model that draws learns other pictures.

    Attributes:
        trained: "lora", adapters of all linear layers and the rows of special tokens and codes; "all", everything.
        rank, alpha: of LoRA.
        rehearsed: a data folder of what it drew before; "" for none.
        rehearsal: its share of each batch.
        guided: share of a batch that follows the token of a guidance scale, if the model knows some.
    """

    trained: Literal["lora", "all"] = "lora"
    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    rehearsed: str = ""
    rehearsal: float = Field(0.3, ge=0, lt=1)
    guided: float = Field(0.4, ge=0, lt=1)


class Streams:
    """Pictures of two corpora: the new ones, and by a share those that are rehearsed.

    Args:
        old: None to rehearse nothing.
    """

    def __init__(self, new: Corpus, old: Corpus | None, share: float):
        self.new, self.old, self.share = new, old, share
        self.order = Order(len(old.samples), new.seed) if old else None

    def at(self, index: int, position: int) -> tuple[Corpus, int]:
        """The corpus and the index of the picture at a position of the stream."""
        if self.old and self.order and np.random.default_rng((self.new.seed, 6, position)).random() < self.share:
            return self.old, int(self.order.indices(position, 1)[0])
        return self.new, index


class Documents:
    """Captions and pictures of both streams, in both directions; an implementation of ``documents.Documents``."""

    def __init__(self, streams: Streams, recipe: FinetuneRecipe):
        both = (streams.new, streams.old) if streams.old else (streams.new,)
        self.streams = streams
        self.sources = {id(corpus): Captioned(corpus, recipe.captioning, recipe.dropped) for corpus in both}

    def document(self, index: int, position: int) -> Document:
        """A document of the picture at a position of the stream."""
        corpus, index = self.streams.at(index, position)
        return self.sources[id(corpus)].document(index, position)


class Guided(Objective):
    """The codes of pictures after their captions and the token of a guidance scale."""

    def __init__(self, model: Any, streams: Streams, scales: Sequence[float]):
        self.model, self.streams, self.scales = model, streams, scales

    def batch(self, indices: Sequence[int], first: int) -> Lesson:
        """As many pictures as indices."""
        vocabulary, (height, width) = self.streams.new.vocabulary, self.streams.new.grid
        prefixes, codes = [], []
        for position, each in enumerate(indices, first):
            corpus, index = self.streams.at(each, position)
            rng = np.random.default_rng((corpus.seed, 7, position))
            caption, tongue = corpus.caption(index, rng)
            text = corpus.encode(corpus.request(caption, tongue, rng)) if caption else []
            scale = self.scales[int(rng.integers(len(self.scales)))]
            prefixes.append(draw_prefix(text, height, width, vocabulary, scale))
            codes.append(corpus.grids[index].reshape(-1).astype(np.int64))
        return lesson(prefixes, codes, vocabulary)

    def loss(self, batch: Lesson, step: int) -> tuple[Tensor, Metrics]:
        """The mean cross-entropy of the codes among all ids; logged as "guided"."""
        loss = -code_log_probabilities(self.model, batch, self.streams.new.vocabulary.code_range).mean()
        return loss, {"guided": loss.detach()}


class Pair(NamedTuple):
    """Validation documents of the new pictures, and of rehearsed ones; either may be missing."""

    new: Any
    old: Any


class Task(LanguageTask):
    """Next-token prediction on new pictures and on rehearsed ones."""

    def __init__(self, recipe: FinetuneRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("no model to start from", "name one that draws: --start MODEL")
        setup = LanguageSetup(recipe, data)
        check_one_shape(setup.pictures.shards, "a model that goes on learning")
        before = drawing_config(read_config(part_folder(recipe.start, "language")))
        setup.model.config.lantu |= {"guidance": list(before.guidance), "learnt": list(before.learnt)}
        if recipe.trained == "lora":
            adapt(setup.model, setup.vocabulary.text_size, "lora", recipe.rank, recipe.alpha, recipe.loop.seed)
        old = self._rehearsed(setup, recipe, "train")
        streams = Streams(setup.corpus, old, recipe.rehearsal)
        guided = recipe.guided if before.guidance else 0.0
        plain = NextToken(setup.model, setup.corpus, Documents(streams, recipe), recipe.row)
        objectives: list[tuple[float, Objective]] = [(1 - guided, plain)]
        if guided:
            objectives.append((guided, Guided(setup.model, streams, before.guidance)))
        super().__init__(setup, objectives, captioned(setup))
        held = self._rehearsed(setup, recipe, "val") if old else None
        self.kept = captioned(setup)(held) if held and held.samples else None

    def _rehearsed(self, setup: LanguageSetup, recipe: FinetuneRecipe, split: str) -> Corpus | None:
        """A split of the pictures that are rehearsed.

        Raises:
            RecipeError: they have another number of codes.
        """
        if not recipe.rehearsed:
            return None
        pictures = Pictures(Path(recipe.rehearsed), setup.tokenizer, recipe.loop.seed, split)
        if len(pictures.grids) and pictures.grid != setup.pictures.grid:
            raise RecipeError(f"{recipe.rehearsed} has pictures of another size", "build the drawings anew")
        return Corpus(pictures, *setup.encoding)

    def validation(self, number: int, size: int) -> Any:
        """Documents of the validation pictures, and of as many rehearsed ones."""
        new, old = super().validation(number, size), None
        if self.kept is not None:
            indices = turn(number, size, len(self.kept.corpus.samples))
            old = self.kept.batch(indices, number * size) if indices else None
        return Pair(new, old) if new is not None else None

    def validation_loss(self, batch: Pair, generator: torch.Generator) -> Metrics:
        """The loss of captions and codes of new pictures; "kept": of rehearsed ones, where the batch has some."""
        metrics = super().validation_loss(batch.new, generator)
        if batch.old is None or self.kept is None:
            return metrics
        return metrics | {"kept": self.kept.loss(batch.old, 0)[0]}

    def export(self, folder: Path) -> None:
        """Write the stock model with what it learnt; with LoRA, the adapters alone beside it."""
        recipe: Any = self.recipe
        if recipe.trained == "lora":
            first, beside = self.setup.vocabulary.text_size, folder.parent / "adapter"
            base = os.path.abspath(part_folder(recipe.start, "language"))
            save_adapter(self.model, first, base, beside, recipe.rank, recipe.alpha)
        export(self.model, folder, self.setup.codec, state=merged(self.model))

    def _weights(self) -> dict[str, Tensor]:
        return merged(self.model)


def finetune() -> FinetuneRecipe:
    """A few dozen pictures, on one CPU core 20 documents/s for the shipped model."""
    loop = LoopConfig(steps=600, batch_size=16, lr=1e-3, warmup_steps=30, decay_fraction=0.5, weight_decay=0.0)
    return FinetuneRecipe(loop=loop.model_copy(update={"validate_every": 50, "sample_every": 200}))


def debug() -> FinetuneRecipe:
    """In seconds, for a tiny model."""
    loop = LoopConfig(steps=30, batch_size=8, lr=3e-3, warmup_steps=3, precision="fp32", weight_decay=0.0)
    return FinetuneRecipe(rank=4, alpha=8, loop=loop)


RECIPES = {"finetune": finetune, "finetune-debug": debug}
