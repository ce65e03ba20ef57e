"""A convolutional stem and head: pyramids between pixels (or latents) and the tokens of cells.

Both add to a linear layer and start by adding nothing, so that training can start from principal components of patches.
Their fields of view cross the borders of cells: what stands on a border is neither seen nor painted in halves.

Shapes: B batch, C channels, H W pixels, h w grid, N = h·w, D width.
"""

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

FOLD = 4  # pixels a side that become channels at no cost; the larger stages would cost most and add least
MOST = 2  # times a pyramid's narrowest width, its widest


class Residual(nn.Module):
    """Two convolutions around a skip (arXiv:1512.03385, in the order of arXiv:1603.05027)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The same shape."""
        return x_BCHW + self.second(F.silu(self.first(F.silu(x_BCHW))))


class Stem(nn.Module):
    """Pixels → tokens: the first stage is at a quarter of the size, each later one at half of the one before.

    Args:
        channels: of the pixels.
        width: channels of the first stage; each later one has twice as many, up to ``MOST`` times.
        cell: pixels a side of a token's cell, a power of two.
        tokens: width of the tokens.
    """

    def __init__(self, channels: int, width: int, cell: int, tokens: int):
        super().__init__()
        self.fold, widths = min(FOLD, cell), widths_of(width, cell)
        layers: list[nn.Module] = [convolution(channels * self.fold**2, widths[0]), Residual(widths[0])]
        for into, out in itertools.pairwise(widths):
            layers += [convolution(into, out, stride=2), Residual(out)]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Conv2d(widths[-1], tokens, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """(B, N, D)."""
        x = self.layers(F.pixel_unshuffle(pixels_BCHW, self.fold))
        return self.out(F.silu(x)).flatten(2).transpose(1, 2)


class Head(nn.Module):
    """Tokens → pixels: the stem's stages in reverse, and its arguments."""

    def __init__(self, channels: int, width: int, cell: int, tokens: int):
        super().__init__()
        self.fold, widths = min(FOLD, cell), widths_of(width, cell)[::-1]
        self.embed = nn.Conv2d(tokens, widths[0], 1)
        layers: list[nn.Module] = [Residual(widths[0])]
        for into, out in itertools.pairwise(widths):
            layers += [nn.Conv2d(into, 4 * out, 1), nn.PixelShuffle(2), Residual(out)]
        self.layers = nn.Sequential(*layers)
        self.out = convolution(widths[-1], channels * self.fold**2)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BND: Tensor, height: int, width: int) -> Tensor:
        """(B, C, H, W)."""
        x = self.embed(x_BND.transpose(1, 2).unflatten(2, (height, width)))
        return F.pixel_shuffle(self.out(F.silu(self.layers(x))), self.fold)


def widths_of(width: int, cell: int) -> list[int]:
    """Channels of each stage, from the largest picture to the smallest."""
    stages = cell.bit_length() - min(FOLD, cell).bit_length()
    return [width * min(2**stage, MOST) for stage in range(stages + 1)]


def convolution(into: int, out: int, stride: int = 1) -> nn.Conv2d:
    """3 × 3 with a bias of zero, padded to keep the size."""
    layer = nn.Conv2d(into, out, 3, stride, padding=1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer
