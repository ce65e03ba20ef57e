"""Control of a pretrained decoder by a picture: a ControlNet of its UNet; the decoder is frozen.

Shapes: B batch, C channels, H W pixels, h w grid.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.diffusion.denoising import denoising_loss
from lantu.diffusion.sample import sample
from lantu.images import to_array, to_bytes, to_tensor
from lantu.models.diffusers import control
from lantu.models.diffusers.control import ControlConfig, ControlledUNet, PretrainedControl
from lantu.models.diffusers.folder import CONTROL_KIND
from lantu.models.lantu import controls
from lantu.recipes import pretrained_decoder
from lantu.recipes.identity import weights_digest
from lantu.recipes.pretrained_decoder import PretrainedDecoderRecipe
from lantu.recipes.ranges import Share
from lantu.recipes.sheets import save_sheet, shown
from lantu.training.config import LoopConfig
from lantu.training.task import Metrics


class PretrainedControlRecipe(PretrainedDecoderRecipe):
    """How a ControlNet of a pretrained decoder, which ``start`` names, is trained; more in ``PretrainedDecoderRecipe``.

    Attributes:
        kind: of the pictures that it learns to follow; one ControlNet follows one kind.
        coarsest: scale of the coarsest edges, see ``controls.edges``.
        spoilt, most: much of the codes is replaced, or a ControlNet would have nothing to add.
    """

    kind: Literal["edges", "layout", "colour"] = "edges"
    coarsest: float = Field(4.0, ge=1)
    dropped: Share = 0.3
    spoilt: Share = 0.6
    most: Share = 0.5


class Controlled(NamedTuple):
    """A batch of the decoder's recipe, with a picture of control (B, C, H, W) in [-1, 1] for each."""

    pixels: Tensor
    codes: Tensor
    numbers: Tensor
    control: Tensor


class Task(pretrained_decoder.Task):
    """From codes and a picture of control to a picture."""

    exported = CONTROL_KIND

    def __init__(self, recipe: PretrainedControlRecipe, data: Path):
        super().__init__(recipe, data)
        self.model.requires_grad_(False)
        codec = self.pretrained.codec
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            self.controlnet = control.begin(self.model, codec.factor if codec else 1)
        if recipe.recompute:
            self.controlnet.enable_gradient_checkpointing()
        self.networks: dict[str, nn.Module] = {"model": self.controlnet}

    def to(self, device: torch.device) -> None:
        """Move the decoder to the device."""
        super().to(device)
        self.model.to(device)

    def batch(self, step: int, size: int) -> Any:
        """``size`` pictures, their codes and pictures of control: a ``Controlled``."""
        indices = self.order.indices(step * size, size)
        rng = np.random.default_rng((self.recipe.loop.seed, 4, step))
        return self._controlled("train", indices, self.recipe.coarsest ** rng.random(size))

    def _controlled(self, split: str, indices: np.ndarray, coarse_B: np.ndarray) -> Controlled:
        """Pictures of a split with pictures of control that are made from them."""
        batch, kind, taken = self._load(split, indices), self.recipe.kind, []
        for picture, index, coarse in zip(to_array(batch.pixels), indices.tolist(), coarse_B.tolist(), strict=True):
            if kind == "edges":
                taken.append(controls.lit(controls.edges(picture, coarse)))
            elif kind == "layout":
                boxes = [placed.box for placed in self.shards[split].sample(index).objects]
                taken.append(controls.lit(controls.layout(boxes, picture.shape[0])))
            else:
                taken.append(controls.colour(picture))
        return Controlled(*batch, to_tensor(np.stack(taken)))

    def loss(self, module: str, batch: Controlled, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.codebook_size, generator)
        unet = ControlledUNet(self.model.network, self.controlnet, batch.control)
        with torch.no_grad():
            encoded = self.model.adapter(codes)
        how = (self.pretrained.schedule, self.pretrained.parameterisation, generator)
        latents = self._encode(batch)
        return denoising_loss(lambda x_t, time: self.model.predict(x_t, time, encoded, unet), latents, *how), {}

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures; their pictures of control; rendered from their codes with these and without."""
        if not len(chosen := shown(self.shards["val"])):
            return
        real, decoder = self._controlled("val", chosen, np.ones(len(chosen))), self.pretrained.decoder()
        made, rows = self._made(), []
        for steered in (True, False):
            row = []
            for codes, seed, picture in zip(real.codes, chosen.tolist(), real.control, strict=True):
                follow = made.steer(decoder, picture[None].cpu().numpy(), self.recipe.kind, 1.0) if steered else decoder
                row.append(sample(follow, codes.numpy()[None], [seed], self.recipe.shown_steps))
            rows.append(to_bytes(np.concatenate(row)))
        save_sheet(folder / f"{step:06d}.png", [*map(to_array, (real.pixels, real.control)), *rows])

    def _made(self) -> PretrainedControl:
        """The control as it is now."""
        about = self.pretrained.config
        config = ControlConfig(
            patch=about.patch,
            codebook_size=about.codebook_size,
            kind=self.recipe.kind,
            tokenizer=self.tokenizer.codes_digest(),
            decoder=weights_digest(self.start),
        )
        return PretrainedControl(config, self.controlnet)

    def export(self, folder: Path) -> None:
        """Write the control as a model directory keeps it."""
        self._made().save(folder)


def controlnet() -> PretrainedControlRecipe:
    """A ControlNet of edges, on one GPU.

    It was tested on tiny random weights only: no time or loss to expect is known.
    """
    loop = LoopConfig(steps=20_000, batch_size=16, lr=1e-5, warmup_steps=500, weight_decay=0.01, sample_every=1000)
    return PretrainedControlRecipe(recompute=True, loop=loop)


def debug() -> PretrainedControlRecipe:
    """In seconds, of a tiny decoder."""
    loop = LoopConfig(steps=8, batch_size=4, warmup_steps=2, precision="fp32", sample_every=0, ema_every=1)
    return PretrainedControlRecipe(shown_steps=2, loop=loop)


RECIPES = {"controlnet": controlnet, "controlnet-debug": debug}
