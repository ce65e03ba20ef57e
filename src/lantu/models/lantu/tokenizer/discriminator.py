"""The discriminator of VQ-GAN (arXiv:2012.09841). Shapes: B batch, C channels, H W pixels."""

import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """PatchGAN (arXiv:1611.07004), with group norm: is each of many overlapping patches real or reconstructed?"""

    def __init__(self, width: int = 32, layers: int = 3):
        super().__init__()
        modules: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for layer in range(1, layers):
            outer = width * 2 ** min(layer, 3)
            inner = width * 2 ** min(layer - 1, 3)
            modules += [nn.Conv2d(inner, outer, 4, 2, 1), nn.GroupNorm(8, outer), nn.LeakyReLU(0.2)]
        modules.append(nn.Conv2d(width * 2 ** min(layers - 1, 3), 1, 4, 1, 1))
        self.layers = nn.Sequential(*modules)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """A map of logits, high where a patch looks real."""
        return self.layers(pixels_BCHW)


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """Hinge loss of the discriminator."""
    return (F.relu(1 - real).mean() + F.relu(1 + made).mean()) / 2


def generator_loss(made: Tensor) -> Tensor:
    """Hinge loss of the tokenizer, which is to be taken for real."""
    return -made.mean()
