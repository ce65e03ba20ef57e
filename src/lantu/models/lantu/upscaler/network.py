"""The upscaler's network. Shapes: B batch, C = 3 channels, H W pixels, S factor."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.diffusion.arrays import to_numpy
from lantu.models.lantu import saving
from lantu.models.lantu.upscaler.config import UpscalerConfig


class Upscaler(nn.Module):
    """Residual convolutions (EDSR, arXiv:1707.02921) between two shuffles of pixels (ESPCN, arXiv:1609.05158).

    It adds to the bilinearly enlarged picture, and starts by adding nothing. A decoder paints each cell's pixels as a
    linear function of its token, which leaves rings around edges and seams between cells; convolutions see across both.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.first = convolution(3 * config.cell**2, config.width)
        self.blocks = nn.ModuleList(Residual(config.width) for _ in range(config.layers))
        self.last = convolution(config.width, 3 * (config.factor * config.cell) ** 2)
        zero(self.last)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Pixels in [-1, 1], sides multiples of ``cell`` → (B, C, S·H, S·W), in [-1, 1] but for overshoot."""
        cell, factor = self.config.cell, self.config.factor
        x_BWhw = self.first(F.pixel_unshuffle(pixels_BCHW, cell))
        for block in self.blocks:
            x_BWhw = block(x_BWhw)
        enlarged = F.interpolate(pixels_BCHW, scale_factor=factor, mode="bilinear", align_corners=False)
        return enlarged + F.pixel_shuffle(self.last(x_BWhw), factor * cell)

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors."""
        saving.save(self, self.config, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what ``save`` wrote, ready for inference.

        Raises:
            ModelError: it is missing or damaged.
        """
        return saving.load(lambda config: cls(UpscalerConfig(**config)), "upscaler", folder)


class Residual(nn.Module):
    """Two convolutions beside a skip; the second starts at zero."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)
        zero(self.second)

    def forward(self, x_BWhw: Tensor) -> Tensor:
        """The same shape."""
        return x_BWhw + self.second(F.silu(self.first(x_BWhw)))


def convolution(before: int, after: int) -> nn.Conv2d:
    """3 by 3; a border is continued, since a plain background goes on beyond it."""
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate")


def zero(layer: nn.Module) -> None:
    """Set all parameters to zero, so that the layer adds nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class TorchUpscaler:
    """A network, where it is, on arrays."""

    def __init__(self, network: Upscaler):
        self.network = network

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Read an upscaler's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(Upscaler.load(folder).to(device))

    @torch.inference_mode()
    def __call__(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """(B, C, S·H, S·W) float32: see ``Upscaler.forward``."""
        device = self.network.first.weight.device
        return to_numpy(self.network(torch.from_numpy(pixels_BCHW).to(device)).float())
