"""Distribution matching distillation of a decoder (arXiv:2311.18828, arXiv:2405.14867).

The student renders in very few steps. A critic learns the distribution of the student's pictures by flow matching; the
teacher knows that of true pictures. Where the two disagree, the difference of their clean estimates is the direction in
which the student's picture should change. One step of an ordinary decoder gives the average of all pictures that fit
the codes, which is unlike any picture: distribution matching sharpens it.

The student is trained on the inputs that it meets when it renders: the points of its own Euler path from noise, in one
of ``steps`` steps.

Shapes: B batch, C channels, H W pixels, h w grid.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lantu.diffusion.distillation import few_steps, matching_loss
from lantu.diffusion.flow import flow_loss
from lantu.diffusion.samplers import times
from lantu.errors import RecipeError
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.recipes import decoder
from lantu.recipes.decoder import DecoderRecipe
from lantu.recipes.picture_batches import Coded
from lantu.recipes.ranges import StepCounts
from lantu.recipes.sources import part_folder
from lantu.training.task import Metrics


def check_average(recipe: Any) -> Any:
    """Refuse an EMA that would miss the student's updates, which are not made at every step. Raises ValueError."""
    if recipe.loop.ema_every != 1:
        raise ValueError("the student's average takes each of its updates: set loop.ema_every to 1")
    return recipe


class DistributionMatchingRecipe(DecoderRecipe):
    """How a trained decoder, which ``start`` names, learns to render in few steps.

    Attributes:
        steps: numbers of steps that it learns to render in, equally often.
        every: updates of the critic per update of the student (the two time scales of arXiv:2405.14867, section 4.2).
        alone: updates of the critic before the student's first: the student begins as the teacher, and the critic must
            first learn the distribution of its few-step pictures.
        matching_weight: of the distribution matching loss, beside the perceptual distance to the true picture.
    """

    steps: StepCounts = (1, 2, 4)
    every: int = Field(2, ge=1)
    alone: int = Field(100, ge=0)
    matching_weight: float = Field(3.0, ge=0)

    _average = model_validator(mode="after")(check_average)


class Task(decoder.Task):
    """A student that renders in few steps, and a critic of its pictures."""

    extends = False

    def __init__(self, recipe: DistributionMatchingRecipe, data: Path):
        if not recipe.start:
            raise RecipeError(
                "this recipe starts from a decoder that renders in many steps", "give it with --start MODEL"
            )
        super().__init__(recipe, data)
        self.paths, self.weight = [times(steps) for steps in recipe.steps], recipe.matching_weight
        self.every, self.alone = recipe.every, recipe.alone
        folder = part_folder(recipe.start, "decoder")
        self.teacher = PixelDecoder.load(folder)
        self.critic = PixelDecoder.load(folder).requires_grad_()
        self.networks: dict[str, nn.Module] = {"model": self.model, "critic": self.critic}
        self.drawn: list[tuple[Tensor, Tensor]] = []  # pictures and codes of the student's update, for the critic's

    def validation(self, number: int, size: int) -> None:
        """None: a lower flow loss would not mean a better decoder of few steps."""

    def to(self, device: torch.device) -> None:
        """Move the perceptual network and the teacher to the device."""
        super().to(device)
        self.teacher.to(device)

    def loss(self, module: str, batch: Coded, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        if module == "critic":
            pictures, codes = self.drawn.pop(0)
            loss, _ = flow_loss(self.critic, pictures, codes, generator, self.recipe.mean, self.recipe.spread)
            return loss, {}
        codes = self.spoil(batch.codes, self.model.config.codebook_size, generator)
        moves = step >= self.alone and step % self.every == 0
        with torch.set_grad_enabled(moves):
            pictures = few_steps(self.model, batch.pixels.shape, codes, self.paths, generator)
        self.drawn.append((pictures.detach(), codes))
        if not moves:
            return torch.zeros(()), {}
        matched = matching_loss(self.teacher, self.critic, pictures, codes, generator)
        judged, parts = self._judge(pictures, batch.pixels)
        return self.weight * matched + judged, {"matching": matched.detach(), **parts}


def emoji() -> DistributionMatchingRecipe:
    """The shipped decoder's, from the one that renders in many steps (``--start MODEL``).

    On one CPU core: 15 pictures/s, 50 minutes.
    """
    # A student that changes faster than its critic learns diverges: with Muon at three times the rate, in 300 steps.
    changes = {"steps": 1200, "lr": 1e-4, "lr_scale": {"critic": 2.0}, "optimizer": "adamw", "weight_decay": 0.0}
    changes |= {"warmup_steps": 50, "decay_fraction": 0.3, "ema_decay": 0.99}
    return few(decoder.further(), changes)


def debug() -> DistributionMatchingRecipe:
    """In seconds, from the decoder of the recipe of that name."""
    return few(decoder.debug(), {}, alone=2)


def few(recipe: DecoderRecipe, changes: dict[str, Any], **own: Any) -> DistributionMatchingRecipe:
    """A decoder's recipe as one of few steps. The student's EMA is updated at each of its updates, not at each step."""
    loop = recipe.loop.model_copy(update={**changes, "ema_every": 1})
    return DistributionMatchingRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop, **own)


RECIPES = {"distribution_matching": emoji, "distribution_matching-debug": debug}
