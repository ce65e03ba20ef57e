"""The transformer block that image tokenizer, decoder and control share, and the layers to and from pixels.

Shapes: B batch, N tokens (= h·w), D width, A heads, K head width, C channels, H W pixels, h w grid, P patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.kernels.blocks import inner_of


def rotation(
    height: int, width: int, head_width: int, base: float = 100.0, device: torch.device | None = None
) -> Tensor:
    """A rotary position embedding in two dimensions (RoFormer, arXiv:2104.09864, once per axis).

    Half of each head encodes the row, half the column. Attention depends on differences of positions only, so a grid
    larger than those of training keeps its local geometry.

    Returns:
        (2, h·w, K/2): cosine and sine.
    """
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


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm (arXiv:1910.07467) in the input's precision, which the fused kernel requires."""

    def __init__(self, width: int):
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape and dtype."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Full self-attention; normalised queries and keys (arXiv:2302.05442) keep high learning rates stable."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_norm = RMSNorm(width // heads)
        self.key_norm = RMSNorm(width // heads)

    def forward(self, x_BND: Tensor, rotation_2NK: Tensor, mask_NN: Tensor | None = None) -> Tensor:
        """The same shape. Where ``mask_NN`` is false, a token (row) does not attend to another (column).

        Masks that differ between pictures are (B, 1, N, N), or (B, 1, 1, N) where all tokens see the same ones.
        """
        B, N, D = x_BND.shape
        q, k, v = self.query_key_value(x_BND).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        q = rotate(self.query_norm(q), rotation_2NK).to(v.dtype)
        k = rotate(self.key_norm(k), rotation_2NK).to(v.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_NN)
        return self.out(mixed.transpose(1, 2).reshape(B, N, D))


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202), its inner width a multiple of 32 near 8/3 of the outer."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = inner_of(width)
        self.gate_up = nn.Linear(width, 2 * self.inner, bias=False)
        self.down = nn.Linear(self.inner, width, bias=False)

    def forward(self, x_BND: Tensor) -> Tensor:
        """The same shape."""
        gate, up = self.gate_up(x_BND).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    """Pre-norm attention and feed-forward.

    With ``conditioned``, shift, scale and gate are the sum of one modulation that all blocks share and a table of the
    block's own (adaLN-single, PixArt-α, arXiv:2310.00426): a tenth of the weights of DiT's adaLN. The table starts
    at zero, and gates are 1 + their modulation, so that the block starts equal to a plain one and can be copied from
    one.
    """

    def __init__(self, width: int, heads: int, conditioned: bool = False):
        super().__init__()
        self.attention_norm = RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = RMSNorm(width)
        self.feed_forward = FeedForward(width)
        self.table = nn.Parameter(torch.zeros(6, width)) if conditioned else None

    def forward(
        self,
        x_BND: Tensor,
        rotation_2NK: Tensor,
        modulation_B6D: Tensor | None = None,
        mask_NN: Tensor | None = None,
    ) -> Tensor:
        """The same shape. Where ``mask_NN`` is false, a token (row) does not attend to another (column)."""
        if self.table is None or modulation_B6D is None:
            x_BND = x_BND + self.attention(self.attention_norm(x_BND), rotation_2NK, mask_NN)
            return x_BND + self.feed_forward(self.feed_forward_norm(x_BND))
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (modulation_B6D + self.table)[:, :, None].unbind(1)
        inner = self.attention_norm(x_BND) * (1 + scale_a) + shift_a
        x_BND = x_BND + (1 + gate_a) * self.attention(inner, rotation_2NK, mask_NN)
        inner = self.feed_forward_norm(x_BND) * (1 + scale_f) + shift_f
        return x_BND + (1 + gate_f) * self.feed_forward(inner)


def zero_residuals(block: nn.Module) -> None:
    """Start a block as the identity: its residual branches add zero until they are trained."""
    assert isinstance(block, Block)
    nn.init.zeros_(block.attention.out.weight)
    nn.init.zeros_(block.feed_forward.down.weight)


def in_blocks(name: str, parameter: Tensor) -> bool:
    """Whether a named parameter is a matrix of a block, which is what Muon may optimise."""
    return parameter.ndim == 2 and "blocks" in name and "table" not in name


def to_patches(pixels_BCHW: Tensor, patch: int) -> Tensor:
    """Cut pixels into patches without overlap: (B, C, H, W) → (B, N, P·P·C)."""
    B, C, H, W = pixels_BCHW.shape
    grid = pixels_BCHW.view(B, C, H // patch, patch, W // patch, patch)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(B, (H // patch) * (W // patch), patch * patch * C)


def to_windows(pixels_BCHW: Tensor, patch: int, rim: int) -> Tensor:
    """Cells with ``rim`` pixels around them, edges repeated: (B, C, H, W) → (B, N, R·R·C), R = P + 2·rim."""
    if not rim:
        return to_patches(pixels_BCHW, patch)
    padded = F.pad(pixels_BCHW, (rim, rim, rim, rim), mode="replicate")
    windows = padded.unfold(2, patch + 2 * rim, patch).unfold(3, patch + 2 * rim, patch)
    B, C, h, w, R, _ = windows.shape
    return windows.permute(0, 2, 3, 4, 5, 1).reshape(B, h * w, R * R * C)


def same_window(height: int, width: int, window: int) -> Tensor:
    """(N, N) bool: which pairs of cells are in the same window of ``window`` cells a side."""
    rows, columns = (torch.arange(side) // window for side in (height, width))
    number_N = (rows[:, None] * width + columns).flatten()
    return number_N[:, None] == number_N


class Patches(nn.Module):
    """Tokens to pixels (or latents), each token its own cell."""

    def __init__(self, width: int, patch: int, channels: int):
        super().__init__()
        self.patch, self.channels = patch, channels
        self.linear = nn.Linear(width, patch * patch * channels)

    def forward(self, x_BND: Tensor, height: int, width: int) -> Tensor:
        """(B, h·w, D) → (B, C, h·P, w·P)."""
        P, C = self.patch, self.channels
        patches = self.linear(x_BND).view(-1, height, width, P, P, C)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(-1, C, height * P, width * P)


class OverlapPatches(nn.Module):
    """Tokens to pixels through patches of twice the stride, summed under a window, which leaves no seams.

    Each token paints a patch of 2P × 2P pixels centred on its cell. The window is a product of two triangles, so the
    windows of the four tokens around a pixel sum to one (to less at the picture's rim, which training compensates).
    """

    def __init__(self, width: int, patch: int, channels: int = 3):
        super().__init__()
        self.patch, self.channels = patch, channels
        self.linear = nn.Linear(width, 4 * patch * patch * channels)
        ramp = (torch.arange(patch) + 0.5) / patch
        triangle = torch.cat([ramp, ramp.flip(0)])
        self.register_buffer("window", triangle[:, None] * triangle[None, :], persistent=False)

    def forward(self, x_BND: Tensor, height: int, width: int) -> Tensor:
        """(B, h·w, D) → (B, C, h·P, w·P)."""
        P, C = self.patch, self.channels
        patches = self.linear(x_BND).view(-1, height, width, 2, P, 2, P, C)
        return self.add_up(patches * self.window.view(2, P, 2, P, 1).to(patches.dtype)).permute(0, 3, 1, 2)

    def add_up(self, patches: Tensor) -> Tensor:
        """Sum half-patches on a canvas half a patch larger on every side, then crop it."""
        B, h, w, _, P, _, _, C = patches.shape
        canvas = patches.new_zeros(B, h + 1, P, w + 1, P, C)
        for row in (0, 1):
            for column in (0, 1):
                part = patches[:, :, :, row, :, column].permute(0, 1, 3, 2, 4, 5)
                canvas[:, row : row + h, :, column : column + w] += part
        canvas = canvas.reshape(B, (h + 1) * P, (w + 1) * P, C)
        half = P // 2
        return canvas[:, half : half + h * P, half : half + w * P]
