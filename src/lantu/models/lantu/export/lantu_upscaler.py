"""An upscaler of lantu (蓝图) for diffusers: a finished picture → the same with more pixels.

Shapes: B batch, C = 3 channels, H W pixels, S factor.
"""

import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class LantuUpscaler(ModelMixin, ConfigMixin):
    """Residual convolutions (arXiv:1707.02921) between two shuffles of pixels (arXiv:1609.05158).

    Args:
        factor: pixels a side that it paints for one.
        cell: pixels a side that its convolutions see as one place.
        width, layers: of the convolutions.
    """

    @register_to_config
    def __init__(self, factor: int = 2, cell: int = 2, width: int = 48, layers: int = 5):
        super().__init__()
        self.factor, self.cell = factor, cell
        self.first = convolution(3 * cell**2, width)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(layers))
        self.last = convolution(width, 3 * (factor * cell) ** 2)

    def forward(self, sample: Tensor) -> Tensor:
        """Pixels in [-1, 1] → (B, C, S·H, S·W), in [-1, 1] but for overshoot."""
        x_BWhw = self.first(F.pixel_unshuffle(sample.to(self.first.weight.dtype), self.cell))
        for block in self.blocks:
            x_BWhw = block(x_BWhw)
        enlarged = F.interpolate(sample, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return enlarged + F.pixel_shuffle(self.last(x_BWhw), self.factor * self.cell).to(sample.dtype)


class Residual(nn.Module):
    """Two convolutions beside a skip."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)

    def forward(self, x_BWhw: Tensor) -> Tensor:
        """The same shape."""
        return x_BWhw + self.second(F.silu(self.first(x_BWhw)))


def convolution(before: int, after: int) -> nn.Conv2d:
    """3 by 3, with the border continued."""
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate")
