"""Post-training of the language model by rewards that can be checked: group-relative policy optimisation.

For each prompt a group of pictures is drafted, painted by frozen decoders and judged by what they show. A draft is made
likelier by how much better than its group it was judged (GRPO, arXiv:2402.03300), and held near the model that it was.
Drafts are used once, so that the ratio of the paper is one.

Shapes: R drafts, n = h·w codes of a picture, K codes of the codebook.
"""

import json
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
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.models.lantu.language.model import load
from lantu.models.lantu.requests import drawing
from lantu.recipes import language
from lantu.recipes.drafts import paint
from lantu.recipes.guidance_distillation import logits, side
from lantu.recipes.language import LanguageRecipe
from lantu.recipes.scores import composer_of, scorer_of
from lantu.recipes.sources import part_folder
from lantu.tasks.run import BATCH
from lantu.training.task import Metrics
from lantu.weights.language_config import strengths_of


class RewardRecipe(LanguageRecipe):
    """How a trained language model, which ``start`` names, is taught by rewards. ``loop.batch_size`` counts prompts.

    Attributes:
        group: drafts of one prompt.
        counting: share of the prompts that ask for several of one thing, which are drawn worst; the others are as they
            come.
        guidance: of the drafts, in one row, as the model has learnt it; 1 for none.
        temperature: of the drafts: high enough that they differ.
        near: weight of the distance from the model that it was.
    """

    group: int = Field(8, ge=2)
    counting: float = Field(0.4, ge=0, le=1)
    guidance: float = Field(1.0, ge=1)
    temperature: float = Field(0.7, gt=0)
    near: float = Field(0.05, ge=0)


class Task(language.Task):
    """Prompts in, drafts made likelier or less."""

    def __init__(self, recipe: RewardRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("rewards teach a model that draws", "give it with --start MODEL")
        super().__init__(recipe, data)
        self.group, self.near, self.counting = recipe.group, recipe.near, recipe.counting
        self.dials = SamplingParams(guidance=recipe.guidance, temperature=recipe.temperature)
        self.before: Any = load(part_folder(recipe.start, "language")).eval().requires_grad_(False)
        self.strengths = strengths_of(self.before.config.to_dict())
        if recipe.guidance not in (1.0, *self.strengths):
            known = ", ".join(f"{strength:g}" for strength in (1.0, *self.strengths))
            raise RecipeError(f"it has not learnt a guidance of {recipe.guidance:g}", f"choose among {known}")
        self.scorer = scorer_of(composer_of(None, data).gallery, load_efficientnet())

    def to(self, device: torch.device) -> None:
        """Bring the model that it was to where the model is."""
        self.before.to(device)

    def batch(self, step: int, size: int) -> Any:
        """Positions in the stream of prompts, (size) int64."""
        return torch.arange(step * size, (step + 1) * size)

    def trial(self, position: int) -> Trial:
        """A scene of the data that is asked for in one of its captions, and judged by what it shows."""
        rng = np.random.default_rng((self.recipe.loop.seed, 5, position))
        index = int(self.order.indices(position, 1)[0])
        if self.counted and rng.random() < self.counting:
            index = self.counted[rng.integers(len(self.counted))]
        sample, (caption, tongue) = self.samples[index], self.caption(index, rng)
        suite = "counts" if sample.kind == "count" else "single" if len(sample.objects) == 1 else "pairs"
        asked = self.request(caption, tongue, rng)
        return Trial(suite, asked, tongue, sample.objects, self.shards.image(index), sample.key)

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        trials = [self.trial(position) for position in batch.tolist()]
        codes_Rn, prefixes = self.drafted(trials, step)
        rewards = self.rewarded(trials, codes_Rn)
        told: Metrics = {"reward": float(rewards.mean()), "spread": float(rewards.std(-1).mean())}
        advantage_R = advantages(rewards).flatten().to(batch.device)
        rows = side(prefixes, codes_Rn + self.vocabulary.first_code, self.vocabulary.special("pad"))
        rows = type(rows)(*(value.to(batch.device) for value in rows))
        drawn = torch.from_numpy(codes_Rn).to(batch.device)[..., None]
        codes = range(self.vocabulary.first_code, self.vocabulary.size)

        def chances(model: Any) -> Tensor:
            """Log-probabilities of what was drawn, at the temperature that it was drawn at: (R, n)."""
            told_RnK = logits(model, rows, codes_Rn.shape[1], codes) / self.dials.temperature
            return told_RnK.log_softmax(-1).gather(-1, drawn)[..., 0]

        chances_Rn = chances(self.model)
        with torch.no_grad():
            were_Rn = chances(self.before)
        distance = nearness(chances_Rn, were_Rn)
        loss = -(advantage_R[:, None] * chances_Rn).mean() + self.near * distance
        return loss, told | {"distance": distance.detach()}

    def drafted(self, trials: list[Trial], step: int) -> tuple[np.ndarray, list[list[int]]]:
        """A group of drafts for each prompt: codes (R, n) int64, and what stood before them."""
        config = json.loads(self.model.config.to_json_string())
        weights = {name: value.detach().float().cpu().numpy() for name, value in self.model.state_dict().items()}
        grid = tuple(self.grids.shape[1:])
        prompts = [self.codec.encode(trial.prompt) for trial in trials for _ in range(self.group)]
        first = step * len(prompts)  # a seed is used once
        requests = [
            drawing(prompt, grid, self.vocabulary, seed, self.dials, self.strengths)
            for seed, prompt in enumerate(prompts, first)
        ]
        drafts = draft(Engine(Language(config, weights), together=BATCH), requests)
        return np.array(drafts) - self.vocabulary.first_code, [list(request.prefix_ids) for request in requests]

    def rewarded(self, trials: list[Trial], codes_Rn: np.ndarray) -> Tensor:
        """(prompts, group): half for each thing that is right, half for all of them."""
        images = paint(self.tokenizer, codes_Rn.reshape(-1, *self.grids.shape[1:]))
        asked = [trial for trial in trials for _ in range(self.group)]
        with torch.autocast("cpu", enabled=False):
            verdicts = self.scorer.judge(asked, images)
        values = [(verdict["score"] + verdict.get("some", verdict.get("concept", 0.0))) / 2 for verdict in verdicts]
        return torch.tensor(values, dtype=torch.float32).view(len(trials), self.group)


def advantages(rewards: Tensor) -> Tensor:
    """How much better each of a group is than the group, in its standard deviations; 0 where all are alike."""
    apart = rewards - rewards.mean(-1, keepdim=True)
    return apart / rewards.std(-1, keepdim=True).clamp_min(0.1)


def nearness(chances_Rn: Tensor, were_Rn: Tensor) -> Tensor:
    """An unbiased, never negative estimate of the KL divergence from what it was (arXiv:2402.03300, eq. 4)."""
    ratio = were_Rn - chances_Rn
    return (ratio.exp() - ratio - 1).mean()


def emoji() -> RewardRecipe:
    """The shipped model's, from a model that draws (``--start MODEL``).

    On one CPU core: 8 prompts of 8 drafts in some 6 s.
    """
    recipe = language.further()
    changes = {"steps": 200, "batch_size": 8, "lr": 5e-5, "warmup_steps": 10, "optimizer": "adamw", "weight_decay": 0.0}
    changes |= {"ema_decay": 0.95, "ema_every": 1, "log_every": 5, "sample_every": 50}
    return RewardRecipe(
        **recipe.model_dump(exclude={"loop"}), guidance=1.5, loop=recipe.loop.model_copy(update=changes)
    )


RECIPES = {"grpo": emoji}
