"""Group-relative policy optimisation (GRPO, arXiv:2402.03300): post-training of the language model with rewards that
can be checked.

For each prompt a group of pictures is drafted, rendered by frozen decoders and judged by their content. The advantage
of a draft is its reward relative to its group; the model is held near the one that it started from. Each draft is used
for one update only, so the paper's probability ratio is 1.

Shapes: R drafts, n = h·w codes of a picture, K codes of the codebook.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lantu.engine.backends.native import Language
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import RecipeError
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.models.lantu.language.model import load
from lantu.models.lantu.requests import drawing
from lantu.recipes import language
from lantu.recipes.corpus import Corpus
from lantu.recipes.drafts import paint
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask, Objective
from lantu.recipes.next_token import code_logits, prefixed_codes
from lantu.recipes.scores import composer_of, scorer_of
from lantu.recipes.sources import part_folder
from lantu.tasks.run import BATCH
from lantu.training.task import Metrics
from lantu.weights.language_config import guidance_scales_of


class GrpoRecipe(LanguageRecipe):
    """How a trained language model, which ``start`` names, is trained with rewards. ``loop.batch_size`` counts prompts.

    Attributes:
        group: drafts per prompt.
        counting: share of the prompts that ask for several of one thing, which are drawn worst; the others are taken
            as they come.
        guidance: of the drafts, in one row, as the model has learnt it; 1 for none.
        temperature: of the drafts: high enough that they differ.
        near: weight of the KL divergence from the model before.
    """

    group: int = Field(8, ge=2)
    counting: float = Field(0.4, ge=0, le=1)
    guidance: float = Field(1.0, ge=1)
    temperature: float = Field(0.7, gt=0)
    near: float = Field(0.05, ge=0)


class Prompts:
    """Scenes of the data, each asked for by one of its captions and judged by its content.

    Args:
        counting: see ``GrpoRecipe``.
    """

    def __init__(self, corpus: Corpus, counting: float):
        self.corpus, self.counting = corpus, counting

    def trial(self, position: int) -> Trial:
        """The prompt at a position of the stream."""
        corpus = self.corpus
        rng = np.random.default_rng((corpus.seed, 5, position))
        index = int(corpus.order.indices(position, 1)[0])
        if corpus.multiples and rng.random() < self.counting:
            index = corpus.multiples[rng.integers(len(corpus.multiples))]
        sample, (caption, tongue) = corpus.samples[index], corpus.caption(index, rng)
        suite = "counts" if sample.kind == "count" else "single" if len(sample.objects) == 1 else "pairs"
        asked = corpus.request(caption, tongue, rng)
        return Trial(suite, asked, tongue, sample.objects, corpus.pictures.shards.image(index), sample.key)


class PolicyGradient(Objective):
    """Drafts that are better than their group become more likely.

    Args:
        before: the frozen model that the trained one is held near.
        scorer: judges rendered drafts.
    """

    def __init__(self, setup: LanguageSetup, recipe: GrpoRecipe, before: Any, scorer: Scorer):
        self.setup, self.model, self.before, self.scorer = setup, setup.model, before, scorer
        self.prompts = Prompts(setup.corpus, recipe.counting)
        self.group, self.near = recipe.group, recipe.near
        self.params = SamplingParams(guidance=recipe.guidance, temperature=recipe.temperature)
        self.guidance_scales = guidance_scales_of(before.config.to_dict())

    def to(self, device: torch.device) -> None:
        self.before.to(device)

    def batch(self, indices: Sequence[int], first: int) -> Tensor:
        """Positions in the stream of prompts, (prompts) int64."""
        return torch.arange(first, first + len(indices))

    def loss(self, batch: Tensor, step: int) -> tuple[Tensor, Metrics]:
        vocabulary = self.setup.vocabulary
        trials = [self.prompts.trial(position) for position in batch.tolist()]
        codes_Rn, prefixes = self.draft(trials, int(batch[0]))
        rewards = self.reward(trials, codes_Rn)
        metrics: Metrics = {"reward": float(rewards.mean()), "spread": float(rewards.std(-1).mean())}
        advantage_R = advantages(rewards).flatten().to(batch.device)
        rows = prefixed_codes(prefixes, vocabulary.codes_to_ids(codes_Rn), vocabulary.special("pad"))
        rows = type(rows)(*(value.to(batch.device) for value in rows))
        drawn = torch.from_numpy(codes_Rn).to(batch.device)[..., None]
        codes = vocabulary.code_range

        def log_probabilities(model: Any) -> Tensor:
            """Of the drafted codes, at the temperature that they were sampled at: (R, n)."""
            logits_RnK = code_logits(model, rows, codes_Rn.shape[1], codes) / self.params.temperature
            return logits_RnK.log_softmax(-1).gather(-1, drawn)[..., 0]

        log_now_Rn = log_probabilities(self.model)
        with torch.no_grad():
            log_before_Rn = log_probabilities(self.before)
        distance = kl_divergence(log_now_Rn, log_before_Rn)
        loss = -(advantage_R[:, None] * log_now_Rn).mean() + self.near * distance
        return loss, metrics | {"distance": distance.detach()}

    def draft(self, trials: list[Trial], position: int) -> tuple[np.ndarray, list[list[int]]]:
        """A group of drafts for each prompt: codes (R, n) int64, and the prefixes that they follow.

        Args:
            position: of the first prompt in the stream.
        """
        config = json.loads(self.model.config.to_json_string())
        weights = {name: value.detach().float().cpu().numpy() for name, value in self.model.state_dict().items()}
        grid, vocabulary = self.setup.pictures.grid, self.setup.vocabulary
        prompts = [self.setup.codec.encode(trial.prompt) for trial in trials for _ in range(self.group)]
        first = position * self.group  # no seed is used twice
        requests = [
            drawing(prompt, grid, vocabulary, seed, self.params, self.guidance_scales)
            for seed, prompt in enumerate(prompts, first)
        ]
        drafts = draft(Engine(Language(config, weights), max_jobs=BATCH), requests)
        return vocabulary.ids_to_codes(np.array(drafts)), [list(request.prefix_ids) for request in requests]

    def reward(self, trials: list[Trial], codes_Rn: np.ndarray) -> Tensor:
        """(prompts, group): half for each thing that is right, half for all of them."""
        images = paint(self.setup.tokenizer, codes_Rn.reshape(-1, *self.setup.pictures.grid))
        asked = [trial for trial in trials for _ in range(self.group)]
        with torch.autocast("cpu", enabled=False):
            verdicts = self.scorer.judge(asked, images)
        values = [(verdict["score"] + verdict.get("some", verdict.get("concept", 0.0))) / 2 for verdict in verdicts]
        return torch.tensor(values, dtype=torch.float32).view(len(trials), self.group)


class Task(LanguageTask):
    """Policy gradients on drafts of the data's prompts."""

    shardable = False

    def __init__(self, recipe: GrpoRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("GRPO starts from a model that draws", "give it with --start MODEL")
        setup = LanguageSetup(recipe, data)
        before: Any = load(part_folder(recipe.start, "language")).eval().requires_grad_(False)
        learnt = (1.0, *guidance_scales_of(before.config.to_dict()))
        if recipe.guidance not in learnt:
            known = ", ".join(f"{strength:g}" for strength in learnt)
            raise RecipeError(f"the model has not learnt a guidance of {recipe.guidance:g}", f"choose among {known}")
        scorer = scorer_of(composer_of(None, data).gallery, load_efficientnet())
        self.policy = PolicyGradient(setup, recipe, before, scorer)
        super().__init__(setup, [(1.0, self.policy)])


def advantages(rewards: Tensor) -> Tensor:
    """Each reward relative to its group, in the group's standard deviations; 0 where all are equal."""
    apart = rewards - rewards.mean(-1, keepdim=True)
    return apart / rewards.std(-1, keepdim=True).clamp_min(0.1)


def kl_divergence(log_now_Rn: Tensor, log_before_Rn: Tensor) -> Tensor:
    """An unbiased, never negative estimate of the KL divergence from the model before (arXiv:2402.03300, eq. 4)."""
    ratio = log_before_Rn - log_now_Rn
    return (ratio.exp() - ratio - 1).mean()


def emoji() -> GrpoRecipe:
    """The shipped model's, from a model that draws (``--start MODEL``).

    On one CPU core: 8 prompts of 8 drafts in some 6 s.
    """
    recipe = language.further()
    changes = {"steps": 200, "batch_size": 8, "lr": 5e-5, "warmup_steps": 10, "optimizer": "adamw", "weight_decay": 0.0}
    changes |= {"ema_decay": 0.95, "ema_every": 1, "log_every": 5, "sample_every": 50}
    loop = recipe.loop.model_copy(update=changes)
    return GrpoRecipe(**recipe.model_dump(exclude={"loop"}), guidance=1.5, loop=loop)


RECIPES = {"grpo": emoji}
