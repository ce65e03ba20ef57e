"""Consistency distillation of a pretrained decoder, in latents, with guidance folded in (arXiv:2310.04378).

With LoRA this is LCM-LoRA (arXiv:2311.05556): RUN/model/lora/ is a file that diffusers' ``load_lora_weights`` reads.
A network that predicts noise, a velocity or the picture is turned into a clean estimate; that estimate is the
consistency function. It is the picture itself where there is no noise, whatever the network predicts, but for one that
predicts the picture, whose last step the teacher gives.
"""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from lantu.diffusion.distillation import consistency, pseudo_huber
from lantu.recipes import pretrained_steps
from lantu.recipes.pretrained_decoder import Batch
from lantu.recipes.pretrained_steps import STUDENT, PretrainedStepsRecipe, loop
from lantu.recipes.variants import Followed
from lantu.training.task import Metrics

SLOW = "slow"


class PretrainedConsistencyRecipe(PretrainedStepsRecipe):
    """See ``PretrainedStepsRecipe``.

    Attributes:
        path: steps of the teacher from noise to picture.
        slow: decay per step of the average that gives the target.
    """

    path: int = Field(50, ge=2)
    slow: float = Field(0.95, ge=0, lt=1)


class Task(pretrained_steps.Task):
    """From noisy latents and codes to the end of the teacher's path, in one step."""

    def __init__(self, recipe: PretrainedConsistencyRecipe, data: Path):
        super().__init__(recipe, data, (STUDENT, SLOW))
        self.followed = Followed(self.variants.module(STUDENT), self.variants.module(SLOW))
        self.networks = {"model": self.followed}

    def after_step(self, step: int) -> None:
        """Update the average."""
        self.followed.follow(self.recipe.slow)

    def loss(self, module: str, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.codebook_size, generator)
        networks = (self._predict(STUDENT), self._predict(SLOW), self._teacher(codes, generator))
        times = self.path.times(self.recipe.path)
        clean, target = consistency(*networks, self._encode(batch), codes, times, generator)
        return pseudo_huber(clean, target), {}


def lcm_lora() -> PretrainedConsistencyRecipe:
    """LCM-LoRA: rank 64, a few thousand updates of 12 pictures. Render with sampler consistency in 4 to 8 steps.

    It was tested on tiny random weights only: no time or loss to expect is known.
    """
    return PretrainedConsistencyRecipe(loop=loop())


def everything() -> PretrainedConsistencyRecipe:
    """All weights, of models that fit into memory four times over."""
    return PretrainedConsistencyRecipe(trained="all", loop=loop(lr=1e-5, ema_decay=0.999))


def debug() -> PretrainedConsistencyRecipe:
    """In seconds, of a tiny decoder."""
    settings = loop(steps=8, batch_size=4, warmup_steps=2, precision="fp32", sample_every=0)
    return PretrainedConsistencyRecipe(rank=4, path=4, shown_steps=2, loop=settings)


RECIPES = {"lcm_lora": lcm_lora, "pretrained_consistency": everything, "lcm_lora-debug": debug}
