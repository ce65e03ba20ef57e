"""Guidance distillation: a language model learns to draw from one row of logits as it drew from a guided pair.

Classifier-free guidance runs every picture twice, with its prompt and without, and general engines serve no such pairs.
Here the guided model teaches itself (arXiv:2210.03142): after the special token of a guidance scale g its single row
learns the distribution over codes

    softmax(u + g (c - u)),    c and u: its own logits with the prompt and without.

Plain documents stay in the same batches, so that the model keeps its other abilities, guided pairs among them.

If the teacher has learnt guidance already, its single row is followed instead, so that a model that learns other tasks
goes on drawing what it drew (learning without forgetting, arXiv:1606.09282).

Shapes: R rows, N ids a row, V ids, K codes of the codebook, n = h·w codes of a picture.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, Field, PositiveFloat
from torch import Tensor

from lantu.data.context import some
from lantu.errors import RecipeError
from lantu.models.lantu.language.model import load
from lantu.recipes import language
from lantu.recipes.corpus import Corpus
from lantu.recipes.documents import Captioned
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask, Objective
from lantu.recipes.next_token import NextToken, PrefixedCodes, code_logits, prefixed_codes
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.sources import part_folder
from lantu.tokens.document import draw_prefix
from lantu.tokens.vocabulary import GUIDANCE_SCALES
from lantu.training.task import Metrics
from lantu.weights.language_config import guidance_scales_of


class GuidanceSettings(BaseModel):
    """How guidance is distilled into a trained language model, which ``start`` names.

    Attributes:
        taught: share of documents that teach guidance; the others are those of the language recipe.
        strengths: guidance scales, equally often. Far above these the guided distribution is mostly the noise of the
            difference (at 5 it is 1.3 nats from the conditional distribution, at 2 only 0.07), and teaches nothing.
        teacher: the model whose guided pairs are the targets, given as ``start`` is; "" takes ``start`` itself.
            Another model restores the drawing that later training has damaged.
    """

    taught: float = Field(0.5, ge=0, le=1)
    strengths: tuple[PositiveFloat, ...] = Field((1.25, 1.5, 2.0, 2.5, 3.0), min_length=1)
    teacher: str = ""


class GuidanceRecipe(LanguageRecipe, GuidanceSettings):
    """A language recipe with guidance distillation."""


class Lessons(NamedTuple):
    """The same pictures after three prefixes, and (R) the guidance scales.

    Attributes:
        scaled: after the prompt and the special token of a guidance scale.
        conditional: after the prompt.
        unconditional: after no prompt.
    """

    scaled: PrefixedCodes
    conditional: PrefixedCodes
    unconditional: PrefixedCodes
    scales: Tensor


class GuidanceDistillation(Objective):
    """The distribution of guided pairs, learnt in one row.

    Args:
        teacher: the source of the frozen model whose guided pairs are the targets, as ``part_folder`` takes it.
        scales: guidance scales, equally often.
        several: share of the pictures that are replaced by ones that show several of one thing, which are rare and
            drawn worst.

    Raises:
        ModelError: the teacher can't be read.
        RecipeError: it has other codes.
    """

    def __init__(self, model: Any, corpus: Corpus, teacher: str, scales: Sequence[float], several: float = 0.0):
        check_one_shape(corpus.pictures.shards, "distilled guidance")
        self.model, self.corpus, self.scales, self.several = model, corpus, scales, several
        self.teacher: Any = load(part_folder(teacher, "language")).eval().requires_grad_(False)
        if (known := self.teacher.config.vocab_size) != model.config.vocab_size:
            what = f"the teacher has {known:,} ids, the model {model.config.vocab_size:,}: it doesn't know all codes"
            raise RecipeError(what, "train the model on its new codes without distillation first, and give that one")
        # Once a model has learnt guidance, nothing has kept its guided pairs right: its single row is the target then.
        self.teacher_in_one_row = set(self.scales) <= set(guidance_scales_of(self.teacher.config.to_dict()))

    def to(self, device: torch.device) -> None:
        self.teacher.to(device)

    def batch(self, indices: Sequence[int], first: int) -> Lessons:
        """The pictures after each of the three prefixes."""
        corpus, vocabulary, (height, width) = self.corpus, self.corpus.vocabulary, self.corpus.grid
        indices = self.chosen(indices, first) if self.several else indices
        scaled, conditional, unconditional, scales, shown = [], [], [], [], []
        for position, index in enumerate(indices, first):
            rng = np.random.default_rng((corpus.seed, 2, position))
            shown.append(corpus.picture(index, rng))
            caption, tongue = corpus.caption(shown[-1], rng)
            text = corpus.encode(corpus.request(caption, tongue, rng)) if caption else []
            scales.append(self.scales[int(rng.integers(len(self.scales)))])
            scaled.append(draw_prefix(text, height, width, vocabulary, scales[-1]))
            conditional.append(draw_prefix(text, height, width, vocabulary))
            unconditional.append(draw_prefix([], height, width, vocabulary))
        codes_Rn = corpus.grids[shown].reshape(len(shown), -1).astype(np.int64)
        ids_Rn = vocabulary.codes_to_ids(codes_Rn)
        pad = vocabulary.special("pad")
        return Lessons(
            prefixed_codes(scaled, ids_Rn, pad),
            prefixed_codes(conditional, ids_Rn, pad),
            prefixed_codes(unconditional, ids_Rn, pad),
            torch.tensor(scales),
        )

    def chosen(self, indices: Sequence[int], first: int) -> list[int]:
        """The indices, of which the share ``several`` is replaced by pictures of several of one thing."""
        rng = np.random.default_rng((self.corpus.seed, 4, first))
        counted = some(self.corpus.multiples, len(indices), rng) if self.corpus.multiples else indices
        return np.where(rng.random(len(indices)) < self.several, counted, indices).tolist()

    def loss(self, batch: Lessons, step: int) -> tuple[Tensor, Metrics]:
        distance = self.distance(batch)
        return distance, {"guided": distance.detach()}

    def distance(self, lessons: Lessons) -> Tensor:
        """Mean KL divergence of a code from the target, the guided pair or the teacher's single row, to the model's."""
        vocabulary, (height, width) = self.corpus.vocabulary, self.corpus.grid
        count, codes = height * width, vocabulary.code_range
        with torch.no_grad():
            if self.teacher_in_one_row:
                target_RnK = code_logits(self.teacher, lessons.scaled, count, codes).log_softmax(-1)
            else:
                pair = (lessons.conditional, lessons.unconditional)
                conditional_RnK, unconditional_RnK = (code_logits(self.teacher, rows, count, codes) for rows in pair)
                target_RnK = guided(conditional_RnK, unconditional_RnK, lessons.scales)
        # Normalised among all ids, though the target covers codes only: so an engine that allows every id draws, too.
        log_RnK = code_logits(self.model, lessons.scaled, count, codes, normalised=True)
        return (target_RnK.exp() * (target_RnK - log_RnK)).sum(-1).mean()


def guided(conditional_RnK: Tensor, unconditional_RnK: Tensor, scales_R: Tensor) -> Tensor:
    """Log-probabilities of classifier-free guidance (arXiv:2207.12598)."""
    return torch.lerp(unconditional_RnK, conditional_RnK, scales_R[:, None, None]).log_softmax(-1)


def check_guidance(recipe: LanguageRecipe, strengths: Sequence[float]) -> None:
    """Refuse to distil guidance without a model to start from, or at a scale that has no special token.

    Raises:
        RecipeError: either is so.
    """
    if not recipe.start:
        raise RecipeError("guidance distillation starts from a model that draws", "give it with --start MODEL")
    if unknown := sorted(set(strengths) - set(GUIDANCE_SCALES)):
        known = ", ".join(f"{scale:g}" for scale in GUIDANCE_SCALES)
        raise RecipeError(f"no special token stands for a guidance of {unknown[0]:g}", f"choose among {known}")


class Task(LanguageTask):
    """Guidance distillation beside next-token prediction."""

    def __init__(self, recipe: GuidanceRecipe, data: Path):
        check_guidance(recipe, recipe.strengths)
        setup = LanguageSetup(recipe, data)
        teacher = recipe.teacher or recipe.start
        self.lessons = GuidanceDistillation(setup.model, setup.corpus, teacher, recipe.strengths)
        setup.model.config.lantu["guidance"] = list(recipe.strengths)
        documents = Captioned(setup.corpus, recipe.captioning, recipe.dropped)
        plain = NextToken(setup.model, setup.corpus, documents, recipe.row)
        super().__init__(setup, [(recipe.taught, self.lessons), (1 - recipe.taught, plain)])


def emoji() -> GuidanceRecipe:
    """The shipped model's last lesson, from the model before it (``--start MODEL``).

    On one CPU core: 19 documents/s, 60 minutes. The distance should end near 0.02.
    """
    recipe = language.further()
    loop = recipe.loop.model_copy(update={"steps": 1500, "lr": 5e-4, "decay_fraction": 0.7})
    return GuidanceRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop)


def debug() -> GuidanceRecipe:
    """In seconds, from the model of the language recipe of that name."""
    recipe = language.debug()
    return GuidanceRecipe(**recipe.model_dump())


RECIPES = {"guidance_distillation": emoji, "guidance_distillation-debug": debug}
