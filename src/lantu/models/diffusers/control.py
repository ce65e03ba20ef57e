"""Control of a pretrained UNet by a picture: diffusers' own ControlNet (arXiv:2302.05543), on codes.

control/
  config.json    "_class_name": "PretrainedControl", see ``ControlConfig``
  controlnet/    a ``ControlNetModel``, as diffusers writes it

It is a copy of the UNet's encoder that sees the picture, the noisy latents and the adapter's context at every step. Its
last layers begin at zero, so that an untrained one leaves the decoder as it is, bit for bit. It has no bias for the
draft: the codes stay those of the prompt, and what is finer than codes follows the picture.

Shapes: B batch, C channels, H W pixels, h w sides of the latents.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from lantu import files
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.errors import LantuError, ModelError
from lantu.models.diffusers import modules
from lantu.models.diffusers.folder import CONTROLNET
from lantu.models.diffusers.network import PretrainedNetwork
from lantu.models.diffusers.pretrained import PretrainedDenoiser
from lantu.weights import manifest
from lantu.weights.names import PRETRAINED_CONTROL

CLASSES = ("ControlNetModel",)
UNET = "UNet2DConditionModel"


class ControlConfig(BaseModel):
    """The config.json of a pretrained decoder's control.

    Attributes:
        patch, codebook_size: of the decoder.
        kind: of the pictures that it follows, one of ``lantu.models.lantu.controls.KINDS``.
        tokenizer: codes digest of the decoder's tokenizer.
        decoder: weights digest of the decoder that it was trained with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_name: str = Field(PRETRAINED_CONTROL, alias="_class_name")
    patch: int
    codebook_size: int
    kind: str = "edges"
    tokenizer: str = ""
    decoder: str = ""

    def save(self, folder: Path) -> None:
        """Write config.json."""
        files.write_json(folder / "config.json", self.model_dump(by_alias=True))


class ControlledUNet(nn.Module):
    """A UNet and its ControlNet, called as the UNet alone is.

    Args:
        picture_BCHW: of control, in [-1, 1]; 1 for all.
        scale: strength; 1 is that of training.
    """

    def __init__(self, unet: Any, controlnet: Any, picture_BCHW: Tensor, scale: float = 1.0):
        super().__init__()
        self.unet, self.controlnet, self.scale = unet, controlnet, scale
        self.picture_BCHW = picture_BCHW / 2 + 0.5

    def forward(
        self,
        x_BChw: Tensor,
        timestep_B: Tensor,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor, ...]:
        """What the UNet predicts, as the first of a tuple."""
        picture = self.picture_BCHW.to(x_BChw)
        picture = picture.expand(len(x_BChw), -1, -1, -1) if len(picture) == 1 else picture
        given: dict[str, Any] = {"encoder_hidden_states": encoder_hidden_states, "added_cond_kwargs": added_cond_kwargs}
        how = {"controlnet_cond": picture, "conditioning_scale": self.scale, "return_dict": False}
        down, middle = self.controlnet(x_BChw, timestep_B, **given, **how)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return self.unet(x_BChw, timestep_B, **given, **residuals, return_dict=False)


def begin(network: PretrainedNetwork, factor: int) -> Any:
    """A new ControlNet of a decoder's UNet, float32, that changes nothing yet.

    Args:
        factor: pixels a side of one latent: a power of 2.

    Raises:
        LantuError: the decoder is no UNet, or denoises pixels.
    """
    from diffusers import ControlNetModel

    if network.kind.name != UNET:
        raise LantuError(f"a {network.kind.name} has no ControlNet here", "choose a decoder with a UNet, e.g. SDXL")
    halvings = factor.bit_length() - 1
    if factor < 2 or factor != 1 << halvings:
        raise LantuError(f"no ControlNet for latents of {factor} pixels a side", "choose a decoder of latents")
    # Each width but the first halves the picture; those of diffusers for its usual three halvings.
    widths = (16, 32, 96, 256)[: halvings + 1] + (256,) * max(0, halvings - 3)
    made: Any = cast(Any, ControlNetModel).from_unet(network.network, conditioning_embedding_out_channels=widths)
    return made.float()


@dataclass(frozen=True)
class PretrainedControl:
    """A trained control of a pretrained decoder."""

    config: ControlConfig
    controlnet: Any

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """Read a control's folder, once every tensor of it is checked.

        Raises:
            ModelError: something is missing, damaged, or does not fit.
            LantuError: torch or diffusers is not installed.
        """
        modules.require()
        place = Path(folder) / CONTROLNET
        config = ControlConfig(**manifest.read_control(folder))
        about = modules.read_config(place, CLASSES, "ControlNet")
        modules.check(place, about)
        return cls(config, modules.load(place, about, dtype, device))

    def save(self, folder: Path) -> None:
        """Write config.json and the ControlNet."""
        with files.writing(folder):
            self.controlnet.save_pretrained(folder / CONTROLNET)
        self.config.save(folder)

    def check(self, kind: str) -> None:
        """Refuse pictures of another kind. Raises LantuError."""
        if kind != self.config.kind:
            raise LantuError(f"the model follows {self.config.kind}, not {kind}", f"--control-kind {self.config.kind}")

    def steer(self, decoder: DiffusionDecoder, picture_1CHW: np.ndarray, kind: str, scale: float) -> DiffusionDecoder:
        """The decoder that follows a picture in [-1, 1].

        Raises:
            LantuError: the control follows pictures of another kind.
            ModelError: the decoder is no pretrained one.
        """
        self.check(kind)
        if not isinstance(decoder.denoiser, PretrainedDenoiser):
            raise ModelError("a ControlNet steers a pretrained decoder", "train a control of this decoder")
        network = decoder.denoiser.network
        picture = torch.from_numpy(picture_1CHW).to(network.adapter.codes.weight.device)
        unet = ControlledUNet(network.network, self.controlnet.to(picture.device), picture, scale)
        return replace(decoder, denoiser=SteeredDenoiser(network, unet))


class SteeredDenoiser(PretrainedDenoiser):
    """A denoiser whose UNet is called together with its ControlNet."""

    def __init__(self, network: PretrainedNetwork, unet: ControlledUNet):
        super().__init__(network)
        self.unet = unet

    @torch.inference_mode()
    def __call__(self, x_t_BCHW: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        """The prediction (B, C, h, w) float32."""
        times_B = x_t_BCHW.new_full((len(x_t_BCHW),), timestep)
        return self.network.predict(x_t_BCHW, times_B, self.encoded(conditioning), self.unet)
