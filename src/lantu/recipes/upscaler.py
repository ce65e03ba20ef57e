"""Recipes of the upscaler, which enlarges what a trained decoder renders."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from lantu.data.shards import read_index
from lantu.diffusion.decoder import DiffusionDecoder
from lantu.diffusion.sample import sample
from lantu.diffusion.samplers import sampler
from lantu.errors import RecipeError
from lantu.images import to_array
from lantu.models.lantu.components import load_decoder
from lantu.models.lantu.upscaler.config import UpscalerConfig
from lantu.models.lantu.upscaler.network import Upscaler
from lantu.recipes.codes import codes_of, load_tokenizer
from lantu.recipes.picture_batches import Coded, CodedBatches
from lantu.recipes.ranges import Weight
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.sources import part_folder
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.task import Metrics


class UpscalerRecipe(RecipeConfig):
    """How an upscaler is trained: the decoder's renderings of true pictures' codes are to become these pictures.

    Attributes:
        tokenizer: folder of the image tokenizer whose codes the decoder renders.
        start: the decoder, which is frozen: a run, a model directory, or a decoder's folder.
        upscaler: a trained upscaler to start from, whose sizes it keeps; "" for a new one.
        factor, cell, width, layers: of the upscaler, see ``UpscalerConfig``.
        steps, sampler: with which the decoder renders, as the model will (``lantu.diffusion.sample``).
        perceptual_weight: of LPIPS beside the mean absolute error; 0 for none. Without it edges stay soft.
    """

    tokenizer: str = ""
    start: str = ""
    upscaler: str = ""
    factor: int = Field(2, ge=2, le=8)
    cell: int = Field(2, ge=1, le=16)
    width: int = Field(48, ge=16, le=4096, multiple_of=16)
    layers: int = Field(5, ge=1, le=64)
    steps: PositiveInt = 4
    sampler: str = "consistency"
    perceptual_weight: Weight = 0.5


class Rendered(NamedTuple):
    """Renderings (B, C, H, W), and the true pictures (B, C, S·H, S·W), in [-1, 1]."""

    rendered: Tensor
    true: Tensor


class Task(training.Task):
    """From a decoder's renderings to true pictures of more pixels."""

    shardable = False

    def __init__(self, recipe: UpscalerRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("an upscaler is trained for a decoder", "give it with --start MODEL")
        sampler(recipe.sampler)  # raises if there is none
        self.recipe, tokenizer = recipe, load_tokenizer(recipe.tokenizer)
        self.folder = part_folder(recipe.start, "decoder")
        self.decoder: DiffusionDecoder = load_decoder(self.folder)
        self.model = self._begin(recipe)
        config = self.model.config
        if self.decoder.patch % config.cell:
            what = f"the decoder paints {self.decoder.patch} pixels a side, the upscaler sees {config.cell} at once"
            raise RecipeError(what, "choose another cell")
        patch, side = self.decoder.patch * config.factor, tokenizer.config.grid
        if (size := read_index(data)["size"]) < patch * side:
            what = f"the pictures in {data} have {size} pixels a side, and are to become {patch * side}"
            raise RecipeError(what, f"build them so large: --size {patch * side}")
        grids = {split: codes_of(data, tokenizer, split, or_empty=split == "val") for split in ("train", "val")}
        canvas = (side, side) if tokenizer.config.queries else None
        self.source = CodedBatches(data, grids, patch, recipe.loop.seed, None, 0.0, canvas, tokenizer.config.depth)
        self.feeder = self.source if self.source.portable else None
        self.networks = {"model": self.model}
        places = (side * self.decoder.patch // config.cell) ** 2
        self.flops_per_sample = 6.0 * places * sum(parameter.numel() for parameter in self.model.parameters())
        self.perceptual: nn.Module | None = None
        if recipe.perceptual_weight:
            from lantu.features.lpips import load_lpips

            self.perceptual = load_lpips("alex")

    def _begin(self, recipe: UpscalerRecipe) -> Upscaler:
        """The upscaler that the recipe starts from, or a new one."""
        if recipe.upscaler:
            return Upscaler.load(part_folder(recipe.upscaler, "upscaler")).train().requires_grad_()
        sizes = {name: getattr(recipe, name) for name in UpscalerConfig.model_fields}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            return Upscaler(UpscalerConfig(**sizes))

    def to(self, device: torch.device) -> None:
        """Move the perceptual network and the decoder to the device."""
        if self.perceptual is not None:
            self.perceptual.to(device)
        if device.type != "cpu":
            self.decoder = load_decoder(self.folder, str(device))

    def batch(self, step: int, size: int) -> Coded:
        """``size`` pictures of one shape and their codes."""
        return self.source.batch(step, size)

    def validation(self, number: int, size: int) -> Coded | None:
        """Validation pictures of one shape and their codes."""
        return self.source.validation(number, size)

    def loss(self, module: str, batch: Coded, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        return self._distance(self._rendered(batch, generator))

    def validation_loss(self, batch: Coded, generator: torch.Generator) -> Metrics:
        """The same distance, of renderings whose noise is always the same."""
        loss, metrics = self._distance(self._rendered(batch, generator))
        return {"loss": loss, **metrics}

    def _rendered(self, batch: Coded, generator: torch.Generator) -> Rendered:
        """What the decoder renders of the batch's codes, from noise that the generator chooses."""
        seeds = torch.randint(1 << 31, (len(batch.codes),), generator=generator, device=generator.device).tolist()
        how = (self.recipe.steps, 1.0, self.recipe.sampler)
        rendered = sample(self.decoder, batch.codes.cpu().numpy(), seeds, *how)
        return Rendered(torch.from_numpy(rendered).to(batch.pixels), batch.pixels)

    def _distance(self, batch: Rendered) -> tuple[Tensor, Metrics]:
        """Mean absolute error and weighted LPIPS of the enlarged renderings, and both as metrics."""
        enlarged = self.model(batch.rendered).float()
        error = F.l1_loss(enlarged, batch.true)
        metrics: Metrics = {"error": error.detach()}
        if self.perceptual is None:
            return error, metrics
        distance = self.perceptual(enlarged, batch.true).mean()
        return error + self.recipe.perceptual_weight * distance, {**metrics, "lpips": distance.detach()}

    def uses_muon(self, name: str, parameter: Tensor) -> bool:
        """Kernels of convolutions are no matrices."""
        return False

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """True pictures; what the decoder renders of their codes; the same enlarged."""
        if not len(chosen := shown(self.source.shards["val"])):
            return
        real = self.source.load("val", np.asarray(chosen))
        device = next(self.model.parameters()).device
        rendered = self._rendered(real, torch.Generator(device).manual_seed(0)).rendered
        enlarged = self.model(rendered.to(device))
        save_sheet(folder / f"{step:06d}.png", [to_array(rows) for rows in (real.pixels, rendered, enlarged)])

    def export(self, folder: Path) -> None:
        """Write the upscaler as a model directory keeps it."""
        self.model.save(folder)


def emoji() -> UpscalerRecipe:
    """For the shipped model: 0.2M parameters that make 256 pixels of 128.

    Needs pictures of the larger size (``lantu data build emoji … --size 256``).
    """
    return UpscalerRecipe(
        loop=LoopConfig(
            steps=5000, batch_size=4, lr=1e-3, warmup_steps=100, decay_fraction=0.6, weight_decay=0.0, sample_every=500
        )
    )


def debug() -> UpscalerRecipe:
    """The whole story in seconds."""
    return UpscalerRecipe(
        width=16, layers=1, perceptual_weight=0, steps=1, loop=LoopConfig(steps=20, batch_size=4, warmup_steps=5)
    )


RECIPES = {"debug": debug, "emoji": emoji}
