"""A diffusion decoder of lantu (蓝图) for diffusers: noisy pixels and a grid of codes → clean pixels.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w, D width, A heads, K head width, P patch.
"""

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class LantuDecoder(ModelMixin, ConfigMixin):
    """A diffusion transformer over cells (arXiv:2212.09748) that predicts the clean picture (arXiv:2511.13720).

    Args:
        patch: pixels a side painted for one code.
        width, layers: of the transformer. Heads are 64 wide, or as wide as the transformer if that is narrower.
        codebook_size: number of codes; -1 stands for a code that is not known.
    """

    @register_to_config
    def __init__(self, patch: int = 16, width: int = 256, layers: int = 6, codebook_size: int = 4096):
        super().__init__()
        self.heads = max(1, width // 64)
        self.codes = nn.Embedding(codebook_size + 1, width)  # the last one is -1
        self.noisy = nn.Linear(3 * patch**2, width)
        self.time = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(width, self.heads) for _ in range(layers))
        self.out = OverlapPatches(width, patch)

    def forward(self, sample: Tensor, timestep: float, codes: Tensor) -> Tensor:
        """The clean pictures (B, C, H, W).

        Args:
            sample: ``t · picture + (1 - t) · noise``, pictures in [-1, 1].
            timestep: t in [0, 1]; 0 is pure noise.
            codes: (B, h, w) int64.
        """
        B, height, width = codes.shape
        D, dtype = self.codes.embedding_dim, self.noisy.weight.dtype
        x_BND = self.codes(torch.where(codes < 0, self.codes.num_embeddings - 1, codes).flatten(1))
        x_BND = x_BND + self.noisy(to_patches(sample.to(dtype), self.out.patch))
        times_B = torch.full((B,), float(timestep), device=sample.device)
        modulation_B6D = self.time(sinusoids(times_B).to(dtype)).view(B, 6, D)
        rotation_2NK = rotation(height, width, D // self.heads, sample.device)
        for block in self.blocks:
            x_BND = block(x_BND, rotation_2NK, modulation_B6D)
        return self.out(x_BND, height, width).to(sample.dtype)


class Attention(nn.Module):
    """Full self-attention with normalised queries and keys."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.key_norm = nn.RMSNorm(width // heads, eps=1e-6)

    def forward(self, x_BND: Tensor, rotation_2NK: Tensor) -> Tensor:
        """The same shape."""
        B, N, D = x_BND.shape
        q, k, v = self.query_key_value(x_BND).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(self.query_norm(q), rotation_2NK), rotate(self.key_norm(k), rotation_2NK)
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        return self.out(mixed.transpose(1, 2).reshape(B, N, D))


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202), its inner width a multiple of 32 near 8/3 of the outer."""

    def __init__(self, width: int):
        super().__init__()
        inner = -(-8 * width // 3 // 32) * 32
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x_BND: Tensor) -> Tensor:
        """The same shape."""
        gate, up = self.gate_up(x_BND).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """Pre-norm attention and feed-forward, modulated by the time (adaLN-single, arXiv:2310.00426)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.RMSNorm(width, eps=1e-6)
        self.feed_forward = FeedForward(width)
        self.table = nn.Parameter(torch.zeros(6, width))

    def forward(self, x_BND: Tensor, rotation_2NK: Tensor, modulation_B6D: Tensor) -> Tensor:
        """The same shape."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (modulation_B6D + self.table)[:, :, None].unbind(1)
        inner = self.attention_norm(x_BND) * (1 + scale_a) + shift_a
        x_BND = x_BND + (1 + gate_a) * self.attention(inner, rotation_2NK)
        inner = self.feed_forward_norm(x_BND) * (1 + scale_f) + shift_f
        return x_BND + (1 + gate_f) * self.feed_forward(inner)


class OverlapPatches(nn.Module):
    """Tokens to pixels through patches of twice the stride, summed under a window, which leaves no seams."""

    def __init__(self, width: int, patch: int):
        super().__init__()
        self.patch = patch
        self.linear = nn.Linear(width, 4 * patch * patch * 3)

    def forward(self, x_BND: Tensor, height: int, width: int) -> Tensor:
        """(B, h·w, D) → (B, C, h·P, w·P)."""
        P, half = self.patch, self.patch // 2
        ramp = (torch.arange(P, device=x_BND.device) + 0.5) / P
        triangle = torch.cat([ramp, ramp.flip(0)])
        window = (triangle[:, None] * triangle).view(2, P, 2, P, 1).to(x_BND.dtype)
        patches = self.linear(x_BND).view(-1, height, width, 2, P, 2, P, 3) * window
        canvas = patches.new_zeros(len(patches), height + 1, P, width + 1, P, 3)
        for row in (0, 1):
            for column in (0, 1):
                part = patches[:, :, :, row, :, column].permute(0, 1, 3, 2, 4, 5)
                canvas[:, row : row + height, :, column : column + width] += part
        canvas = canvas.reshape(-1, (height + 1) * P, (width + 1) * P, 3)
        return canvas[:, half : half + height * P, half : half + width * P].permute(0, 3, 1, 2)


def to_patches(pixels_BCHW: Tensor, patch: int) -> Tensor:
    """Cut pixels into patches without overlap: (B, C, H, W) → (B, N, P·P·C)."""
    B, C, H, W = pixels_BCHW.shape
    grid = pixels_BCHW.view(B, C, H // patch, patch, W // patch, patch)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(B, (H // patch) * (W // patch), patch * patch * C)


def rotation(height: int, width: int, head_width: int, device: torch.device, base: float = 100.0) -> Tensor:
    """(2, N, K/2): cosine and sine of rotary angles, half of them of the row and half of the column."""
    quarter = head_width // 4
    frequencies = base ** (-torch.arange(quarter, dtype=torch.float32, device=device) / quarter)
    rows = torch.arange(height, dtype=torch.float32, device=device)[:, None, None] * frequencies
    columns = torch.arange(width, dtype=torch.float32, device=device)[None, :, None] * frequencies
    angles = torch.cat([rows.expand(height, width, quarter), columns.expand(height, width, quarter)], -1)
    angles = angles.reshape(height * width, 2 * quarter)
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x_BANK: Tensor, rotation_2NK: Tensor) -> Tensor:
    """Rotate the pairs (first half, second half) of each head by the angles of its token."""
    cosine, sine = rotation_2NK.to(x_BANK.dtype)
    first, second = x_BANK.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


def sinusoids(time_B: Tensor, width: int = 128) -> Tensor:
    """The sinusoidal embedding of times: (B, width)."""
    frequencies = torch.exp(-math.log(1000.0) * torch.arange(width // 2, device=time_B.device) / (width // 2))
    angles = 1000.0 * time_B.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)
