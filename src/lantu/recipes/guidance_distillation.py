"""Guidance learnt: recipes that teach a language model to draw in one row as it did in two.

Classifier-free guidance reads every picture twice, with its prompt and without, and general engines serve no such
pairs. Here the model that is guided teaches itself (arXiv:2210.03142): after the id of a strength g its one row gives

    softmax(u + g (c - u)),    c and u: its own logits with the prompt and without

over the codes, by cross-entropy to that distribution. Plain documents go on in the same batches, so that what the
model could before, guidance in two rows included, is kept.

A teacher that has learnt guidance already is followed in its own one row instead, so that a model that goes on to learn
other things draws what it drew (learning without forgetting, arXiv:1606.09282).

Shapes: R rows, N ids a row, V ids, K codes of the codebook, n = h·w codes of a picture.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.errors import RecipeError
from lantu.models.lantu.language.model import load
from lantu.recipes import language
from lantu.recipes.language import LanguageRecipe, further, one_each
from lantu.recipes.sources import part_folder
from lantu.tokens.document import draw_prefix
from lantu.tokens.vocabulary import STRENGTHS
from lantu.training.task import Metrics
from lantu.weights.language_config import strengths_of


class GuidedRecipe(LanguageRecipe):
    """How guidance is taught to a trained language model, which ``start`` names.

    Attributes:
        taught: share of documents that teach guidance; the others are those of the language recipe.
        strengths: of guidance, each as often as the others. Far above these the guided distribution is mostly the noise
            of the difference (at 5 it is 1.3 nats from the prompt's own, at 2 only 0.07), and teaches nothing.
        teacher: the model whose guided pairs are the lessons, as ``start``; "" takes ``start`` itself. Another one
            brings back to drawing what other lessons took from it.
    """

    taught: float = Field(0.5, ge=0, le=1)
    strengths: tuple[float, ...] = (1.25, 1.5, 2.0, 2.5, 3.0)
    teacher: str = ""


class Side(NamedTuple):
    """Pictures after one kind of prefix: ids (R, N) int64, and the place in each row where its codes start (R)."""

    ids: Tensor
    starts: Tensor


class Lessons(NamedTuple):
    """The same pictures after their prompt and a strength's id, after their prompt, and after none; strengths (R)."""

    asked: Side
    prompted: Side
    bare: Side
    strengths: Tensor


class Task(language.Task):
    """Documents in, next ids out; guided ones after a strength."""

    def __init__(self, recipe: GuidedRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("guidance is taught to a model that draws", "give it with --start MODEL")
        if unknown := sorted(set(recipe.strengths) - set(STRENGTHS)):
            known = ", ".join(f"{strength:g}" for strength in STRENGTHS)
            raise RecipeError(f"no id stands for a guidance of {unknown[0]:g}", f"choose among {known}")
        super().__init__(recipe, data)
        self.taught, self.strengths = recipe.taught, recipe.strengths
        self.teacher: Any = load(part_folder(recipe.teacher or recipe.start, "language")).eval().requires_grad_(False)
        # What its own pair would say since is no lesson: nothing has kept that pair in place.
        self.known = set(recipe.strengths) <= set(strengths_of(self.teacher.config.to_dict()))
        self.model.config.lantu["guidance"] = list(recipe.strengths)

    def to(self, device: torch.device) -> None:
        """Bring the teacher to where the pupil is."""
        self.teacher.to(device)

    def batch(self, step: int, size: int) -> Any:
        """``size`` documents: first the lessons, then plain ones."""
        indices, first = self.order.indices(step * size, size).tolist(), step * size
        taught = round(self.taught * size)
        return {
            "lessons": self.lessons(indices[:taught], first) if taught else None,
            "plain": self.rows(indices[taught:], first + taught) if taught < size else None,
        }

    def lessons(self, indices: Sequence[int], first: int) -> Lessons:
        """What teaches guidance on these pictures, from the stream's position ``first`` on."""
        vocabulary, (height, width) = self.vocabulary, self.grids.shape[1:]
        asked, prompted, bare, strengths = [], [], [], []
        for position, index in enumerate(indices, first):
            rng = np.random.default_rng((self.recipe.loop.seed, 2, position))
            caption, tongue = self.caption(index, rng)
            text = self.encode(self.request(caption, tongue, rng)) if caption else []
            strengths.append(self.strengths[rng.integers(len(self.strengths))])
            asked.append(draw_prefix(text, height, width, vocabulary, strengths[-1]))
            prompted.append(draw_prefix(text, height, width, vocabulary))
            bare.append(draw_prefix([], height, width, vocabulary))
        codes_Rn = self.grids[list(indices)].reshape(len(indices), -1).astype(np.int64) + vocabulary.first_code
        pad = vocabulary.special("pad")
        sides = (side(asked, codes_Rn, pad), side(prompted, codes_Rn, pad), side(bare, codes_Rn, pad))
        return Lessons(*sides, torch.tensor(strengths))

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        loss, parts = torch.zeros(()), {}
        if batch["plain"]:
            loss, parts = self.plain(batch["plain"])
        if batch["lessons"]:
            distance = self.distance(batch["lessons"])
            loss, parts["guided"] = loss + distance, distance.detach()
        return loss, parts

    def distance(self, lessons: Lessons) -> Tensor:
        """Mean KL divergence of a code, from the guided pair, or from the teacher's one row, to the one row."""
        codes = range(self.vocabulary.first_code, self.vocabulary.size)
        count = self.grids.shape[1] * self.grids.shape[2]
        with torch.no_grad():
            if self.known:
                target_RnK = logits(self.teacher, lessons.asked, count, codes).log_softmax(-1)
            else:
                prompted, bare = (logits(self.teacher, each, count, codes) for each in (lessons.prompted, lessons.bare))
                target_RnK = guided(prompted, bare, lessons.strengths)
        # Of all ids, though the target is of codes: so that an engine that allows every id draws, too.
        log_RnK = logits(self.model, lessons.asked, count, codes, normalised=True)
        return (target_RnK.exp() * (target_RnK - log_RnK)).sum(-1).mean()


def side(prefixes: Sequence[Sequence[int]], codes_Rn: np.ndarray, pad: int) -> Side:
    """Rows of a prefix and a picture's codes; the last code is left out, for nothing follows it."""
    rows = [np.concatenate([prefix, codes[:-1]]) for prefix, codes in zip(prefixes, codes_Rn, strict=True)]
    return Side(torch.from_numpy(one_each(rows, pad).ids), torch.tensor([len(prefix) for prefix in prefixes]))


def logits(model: nn.Module, rows: Side, count: int, ids: range, normalised: bool = False) -> Tensor:
    """What a model expects at each code of each row: (R, n, ids) float32, of these ids alone.

    Args:
        normalised: as log-probabilities among all ids.
    """
    first = int(rows.starts.min()) - 1
    kept = torch.arange(first, rows.ids.shape[1], device=rows.ids.device)
    logits_RNV = model(input_ids=rows.ids, use_cache=False, logits_to_keep=kept).logits
    places_Rn = rows.starts[:, None] - 1 - first + torch.arange(count, device=rows.ids.device)
    logits_RnV = logits_RNV[torch.arange(len(places_Rn))[:, None], places_Rn].float()
    chosen = logits_RnV[..., ids.start : ids.stop]
    return chosen - logits_RnV.logsumexp(-1, keepdim=True) if normalised else chosen


def guided(prompted_RnK: Tensor, bare_RnK: Tensor, strengths_R: Tensor) -> Tensor:
    """Log-probabilities of classifier-free guidance (arXiv:2207.12598)."""
    return torch.lerp(bare_RnK, prompted_RnK, strengths_R[:, None, None]).log_softmax(-1)


def emoji() -> GuidedRecipe:
    """The shipped model's last lesson, from the model that it was (``--start MODEL``).

    On one CPU core: 19 documents/s, 60 minutes. The distance should end near 0.02.
    """
    recipe = further()
    loop = recipe.loop.model_copy(update={"steps": 1500, "lr": 5e-4, "decay_fraction": 0.7})
    return GuidedRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop)


def debug() -> GuidedRecipe:
    """In seconds, from the model of the language recipe of that name."""
    recipe = language.debug()
    return GuidedRecipe(**recipe.model_dump())


RECIPES = {"guidance_distillation": emoji, "guidance_distillation-debug": debug}
