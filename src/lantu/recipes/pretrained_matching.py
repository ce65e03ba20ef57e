"""Distribution matching distillation of a pretrained decoder, in latents (arXiv:2311.18828, arXiv:2405.14867).

As ``distribution_matching``: the student renders in very few steps, and a critic learns what its pictures look like, by
the loss that the pretrained model was trained with. With LoRA student and critic are two of them on one network, which
itself is the teacher.
"""

from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lantu.diffusion.denoising import denoising_loss
from lantu.diffusion.distillation import few_steps, matching_loss
from lantu.recipes import pretrained_steps
from lantu.recipes.distribution_matching import check_average
from lantu.recipes.pretrained_decoder import Batch
from lantu.recipes.pretrained_steps import STUDENT, PretrainedStepsRecipe, loop
from lantu.recipes.ranges import StepCounts
from lantu.training.task import Metrics

CRITIC = "critic"


class PretrainedMatchingRecipe(PretrainedStepsRecipe):
    """See ``PretrainedStepsRecipe``.

    Attributes:
        steps: numbers of steps that it learns to render in, equally often.
        every: updates of the critic per update of the student.
        alone: updates of the critic before the student's first.
        anchor_weight: of the squared distance to the true latents, beside the matching, which keeps the student close
            to its codes.
    """

    steps: StepCounts = (1, 2, 4)
    every: int = Field(2, ge=1)
    alone: int = Field(100, ge=0)
    anchor_weight: float = Field(0.25, ge=0)

    _average = model_validator(mode="after")(check_average)


class Task(pretrained_steps.Task):
    """A student that renders in few steps, and a critic of its latents."""

    def __init__(self, recipe: PretrainedMatchingRecipe, data: Path):
        super().__init__(recipe, data, (STUDENT, CRITIC))
        self.paths = [self.path.times(steps) for steps in recipe.steps]
        self.networks = {"model": self.variants.module(STUDENT), "critic": self.variants.module(CRITIC)}
        for network in self.networks.values():
            network.requires_grad_()
        self.drawn: list[tuple[Tensor, Tensor]] = []  # latents and codes of the student's update, for the critic's

    def loss(self, module: str, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        if module == CRITIC:
            return self._criticise(*self.drawn.pop(0), generator), {}
        recipe = self.recipe
        codes = self.spoil(batch.codes, self.codebook_size, generator)
        true = self._encode(batch)
        moves = step >= recipe.alone and step % recipe.every == 0
        with torch.set_grad_enabled(moves):
            latents = few_steps(self._predict(STUDENT), true.shape, codes, self.paths, generator)
        self.drawn.append((latents.detach(), codes))
        if not moves:
            return torch.zeros(()), {}
        judges = (self._teacher(codes, generator), self._predict(CRITIC))
        matched = matching_loss(*judges, latents, codes, generator, self.path.training_time)
        self.variants.use(STUDENT)  # whose gradient is taken
        anchored = (latents - true).square().mean()
        return matched + recipe.anchor_weight * anchored, {"matching": matched.detach(), "anchor": anchored.detach()}

    def _criticise(self, latents_BCHW: Tensor, codes_Bhw: Tensor, generator: torch.Generator) -> Tensor:
        """The critic's loss on the student's latents: that with which the pretrained model was trained."""
        critic, how = self.variants.use(CRITIC), (self.pretrained.schedule, self.pretrained.parameterisation)
        return denoising_loss(lambda x_t, step: critic(x_t, step, codes_Bhw), latents_BCHW, *how, generator)


def low_rank() -> PretrainedMatchingRecipe:
    """Student and critic as updates of rank 64. Render in 1 to 4 steps, with sampler euler.

    It was tested on tiny random weights only: no time or loss to expect is known.
    """
    return PretrainedMatchingRecipe(loop=loop(lr_scale={CRITIC: 2.0}))


def debug() -> PretrainedMatchingRecipe:
    """In seconds, of a tiny decoder."""
    settings = loop(steps=8, batch_size=4, warmup_steps=2, precision="fp32", sample_every=0)
    return PretrainedMatchingRecipe(rank=4, alone=2, shown_steps=2, loop=settings)


RECIPES = {"pretrained_matching": low_rank, "pretrained_matching-debug": debug}
