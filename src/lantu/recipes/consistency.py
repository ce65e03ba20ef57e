"""Consistency distillation of a decoder (arXiv:2303.01469): from each point of the teacher's path, one step to its end.

A step of the teacher goes from noise time t to t' = t + 1/n. The target of the student's clean estimate at t is its own
estimate at t', and at the last step the teacher's. As the network predicts the clean picture, it is the consistency
function itself and needs no other parameterisation. The estimate at t' is taken from a slow average of the student.

Shapes: B batch, C channels, H W pixels, h w grid.
"""

import copy
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.diffusion.distillation import consistency, pseudo_huber
from lantu.diffusion.samplers import times
from lantu.errors import RecipeError
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.recipes import decoder
from lantu.recipes.decoder import DecoderRecipe
from lantu.recipes.picture_batches import Coded
from lantu.recipes.sources import part_folder
from lantu.training.task import Metrics


class ConsistencyRecipe(DecoderRecipe):
    """How a trained decoder, which ``start`` names, learns to render in few steps.

    Attributes:
        path: n, steps of the teacher from noise to picture.
        slow: decay per step of the average that gives the target.
    """

    path: int = Field(16, ge=2)
    slow: float = Field(0.99, ge=0, lt=1)


class Pair(nn.Module):
    """The student, and its slow average that gives the target: one network, so that a checkpoint has both."""

    def __init__(self, student: PixelDecoder):
        super().__init__()
        # Checkpoints hold the student under this name.
        self.pupil, self.target = student, copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self, slow: float) -> None:
        """Move the target towards the student."""
        for target, student in zip(self.target.parameters(), self.pupil.parameters(), strict=True):
            target.lerp_(student, 1 - slow)


class Task(decoder.Task):
    """From noisy pictures and codes to the end of the path, in one step."""

    shardable = False

    extends = False

    def __init__(self, recipe: ConsistencyRecipe, data: Path):
        if not recipe.start:
            raise RecipeError(
                "this recipe starts from a decoder that renders in many steps", "give it with --start MODEL"
            )
        super().__init__(recipe, data)
        self.path, self.slow = recipe.path, recipe.slow
        self.pair = Pair(self.model)
        self.networks = {"model": self.pair}
        self.teacher = PixelDecoder.load(part_folder(recipe.start, "decoder"))

    def validation(self, number: int, size: int) -> None:
        """None: a lower flow loss would not mean a better decoder of few steps."""

    def to(self, device: torch.device) -> None:
        """Move the perceptual network and the teacher to the device."""
        super().to(device)
        self.teacher.to(device)

    def after_step(self, step: int) -> None:
        """Update the target."""
        self.pair.follow(self.slow)

    def loss(self, module: str, batch: Coded, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.model.config.codebook_size, generator)
        networks = (self.model, self.pair.target, self.teacher)
        clean, target = consistency(*networks, batch.pixels, codes, times(self.path), generator)
        distance = pseudo_huber(clean, target)
        parts: Metrics = {"path": distance.detach()}
        judged, seen = self._judge(clean, target)
        return distance + judged, parts | seen


def emoji() -> ConsistencyRecipe:
    """The shipped decoder's, from the one that renders in many steps (``--start MODEL``).

    On one CPU core: 20 pictures/s, 30 minutes.
    """
    recipe = decoder.further()
    changes = {"steps": 1000, "lr": 1e-4, "warmup_steps": 50, "optimizer": "adamw", "weight_decay": 0.0}
    loop = recipe.loop.model_copy(update=changes)
    return ConsistencyRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop)


def debug() -> ConsistencyRecipe:
    """In seconds, from the decoder of the recipe of that name."""
    return ConsistencyRecipe(**decoder.debug().model_dump(), path=4)


RECIPES = {"consistency": emoji, "consistency-debug": debug}
