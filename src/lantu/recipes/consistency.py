"""Consistency distillation of a decoder (arXiv:2303.01469): each point of the teacher's path leads to its end at once.

A step of the teacher goes from noise time t to t' = t + 1/n. The pupil's clean estimate at t is taught to be its own at
t', and at the last step the teacher's. As the network predicts the clean picture, it is the consistency function itself
and needs no other parametrisation. What it is taught at t' is the estimate of a slow average of itself.

Shapes: B batch, C channels, H W pixels, h w grid.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.errors import RecipeError
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.recipes import decoder
from lantu.recipes.decoder import Batch, DecoderRecipe
from lantu.recipes.sources import part_folder
from lantu.training.task import Metrics

HUBER = 0.03
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


class ConsistencyRecipe(DecoderRecipe):
    """How a trained decoder, which ``start`` names, is taught to render in few steps.

    Attributes:
        path: n, steps of the teacher from noise to picture.
        slow: decay of the average that sets the target, per step.
    """

    path: int = Field(16, ge=2)
    slow: float = Field(0.99, ge=0, lt=1)


class Pair(nn.Module):
    """The pupil, and the slow average of it that is its target: one network, so that a checkpoint has both."""

    def __init__(self, pupil: PixelDecoder):
        super().__init__()
        self.pupil, self.target = pupil, copy.deepcopy(pupil).eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self, slow: float) -> None:
        """Draw the target towards the pupil."""
        for target, pupil in zip(self.target.parameters(), self.pupil.parameters(), strict=True):
            target.lerp_(pupil, 1 - slow)


class Task(decoder.Task):
    """Codes in, pictures out, from any point of the path at once."""

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

    def to(self, device: torch.device) -> None:
        """Bring judge and teacher to where the pupil is."""
        super().to(device)
        self.teacher.to(device)

    def after_step(self, step: int) -> None:
        self.pair.follow(self.slow)

    def loss(self, player: str, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.model.config.codebook_size, generator)
        networks = (self.model, self.pair.target, self.teacher)
        clean, target = consistency(*networks, batch.pixels, codes, self.path, generator)
        distance = pseudo_huber(clean, target)
        parts: Metrics = {"path": distance.detach()}
        judged, seen = self._judge(clean, target)
        return distance + judged, parts | seen


def consistency(
    pupil: Denoiser,
    slow: Denoiser,
    teacher: Denoiser,
    pixels_BCHW: Tensor,
    codes_Bhw: Tensor,
    path: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The pupil's estimate at a point of each picture's path, and what it should be; both (B, C, H, W).

    Args:
        slow: an average of the pupil.
        path: steps of the teacher.
    """
    device = pixels_BCHW.device
    place = torch.randint(path, (len(pixels_BCHW),), generator=generator, device=device)
    noise = torch.randn(pixels_BCHW.shape, generator=generator, device=device)
    now, then = place / path, (place + 1) / path
    at = now[:, None, None, None]
    noisy = at * pixels_BCHW + (1 - at) * noise
    with torch.no_grad():
        end = teacher(noisy, now, codes_Bhw).float()
        further = noisy + (end - noisy) / (path - place)[:, None, None, None]
        ahead = slow(further, then, codes_Bhw).float()
        target = torch.where((place == path - 1)[:, None, None, None], end, ahead)
    return pupil(noisy, now, codes_Bhw).float(), target


def pseudo_huber(clean_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Between an absolute and a squared error: sqrt(d² + c²) - c for each picture (arXiv:2310.14189, section 3.4).

    Of a root mean square where the paper has a norm, so that it weighs the same at every size.
    """
    square_B = (clean_BCHW - target_BCHW).square().flatten(1).mean(1)
    return ((square_B + HUBER**2).sqrt() - HUBER).mean()


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
