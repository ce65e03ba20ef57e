"""The diffusion decoder: noisy pixels and codes → clean pixels.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w cells, Q codes of a sequence, D width, K codebook size,
P patch.
"""

import math
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.models.lantu import saving
from lantu.models.lantu.decoder.config import DecoderConfig
from lantu.models.lantu.layers import Block, OverlapPatches, rotation, to_patches, zero_residuals
from lantu.models.lantu.tokenizer.sequence import Canvas, rotation_beside


class PixelDecoder(nn.Module):
    """A diffusion transformer over cells (DiT, arXiv:2212.09748) that predicts the clean picture (arXiv:2511.13720).

    Each token is a cell: the embedding of its code plus its patch of noisy pixels. Where codes are a sequence, cells
    are blank but for their noisy pixels, and the codes stand behind them as tokens of their own, as unCLIP's image
    embedding does (arXiv:2204.06125); codes that are not known are not there, so any prefix can be rendered. The
    projection of the noisy pixels and all modulation start at zero, so that a decoder copied from a tokenizer's plain
    decoder renders as well as that one from the first step on.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        D = config.width
        self.codes: Any = self.table()
        self.canvas = Canvas(config.queries, D) if getattr(config, "queries", 0) else None
        self.noisy = nn.Linear(3 * config.patch**2, D)
        modulate = nn.Linear(D, 6 * D)
        self.time = nn.Sequential(nn.Linear(128, D), nn.SiLU(), modulate)
        self.blocks = nn.ModuleList(Block(D, config.heads, conditioned=True) for _ in range(config.layers))
        self.out = OverlapPatches(D, config.patch)
        for layer in (self.noisy, modulate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def table(self) -> nn.Module:
        """The embedding of each code; the last one is MASK_CODE."""
        codes = nn.Embedding(self.config.codebook_size + 1, self.config.width)
        nn.init.normal_(codes.weight, std=0.02)
        return codes

    def tokens(self, codes_Bhw: Tensor) -> Tensor:
        """(B, N, D): of the codes alone."""
        return self.codes(torch.where(codes_Bhw < 0, self.config.codebook_size, codes_Bhw).flatten(1))

    def forward(
        self, noisy_BCHW: Tensor, time_B: Tensor, codes_Bhw: Tensor, control_residuals_2BND: Tensor | None = None
    ) -> Tensor:
        """The clean picture (B, C, H, W).

        Args:
            noisy_BCHW: ``t · picture + (1 - t) · noise``, pictures in [-1, 1]; H = h·P, W = w·P.
            time_B: t in [0, 1], 0 is pure noise.
            codes_Bhw: int64; MASK_CODE where a code is not known. Rows and columns of a sequence mean nothing.
            control_residuals_2BND: added to the tokens before all blocks, and after them, see ``decoder.control``.
        """
        height, width = (side // self.config.patch for side in noisy_BCHW.shape[2:])
        modulation_B6D = self.time(sinusoids(time_B)).view(len(time_B), 6, self.config.width)
        noisy_BND = self.noisy(to_patches(noisy_BCHW, self.config.patch))
        if self.canvas is not None:
            x_BND = self.read(noisy_BND, codes_Bhw.flatten(1), modulation_B6D, height, width, self.canvas)
            return self.out(x_BND, height, width)
        x_BND = self.tokens(codes_Bhw) + noisy_BND
        if control_residuals_2BND is not None:
            x_BND = x_BND + control_residuals_2BND[0]
        rotation_2NK = rotation(height, width, self.config.width // self.config.heads, device=x_BND.device)
        for block in self.blocks:
            x_BND = block(x_BND, rotation_2NK, modulation_B6D)
        if control_residuals_2BND is not None:
            x_BND = x_BND + control_residuals_2BND[1]
        return self.out(x_BND, height, width)

    def read(
        self, noisy_BND: Tensor, codes_BQ: Tensor, modulation_B6D: Tensor, height: int, width: int, canvas: Canvas
    ) -> Tensor:
        """(B, N, D): the cells after all blocks, in which they see the known codes of a sequence."""
        cells, config = noisy_BND.shape[1], self.config
        known_BQ = codes_BQ >= 0
        longest = int((known_BQ * torch.arange(1, codes_BQ.shape[1] + 1, device=codes_BQ.device)).amax())
        known_BQ, codes_BQ = known_BQ[:, :longest], codes_BQ[:, :longest]
        x_BND = canvas.prepend(self.tokens(codes_BQ), cells)
        x_BND = torch.cat([x_BND[:, :cells] + noisy_BND, x_BND[:, cells:]], 1)
        rotation_2NK = rotation_beside(height, width, longest, config.width // config.heads, x_BND.device)
        mask_B11N = torch.cat([known_BQ.new_ones(len(x_BND), cells), known_BQ], 1)[:, None, None]
        for block in self.blocks:
            x_BND = block(x_BND, rotation_2NK, modulation_B6D, mask_B11N)
        return x_BND[:, :cells]

    @torch.no_grad()
    def with_more_codes(self, origins_K: Tensor) -> "PixelDecoder":
        """The same decoder for more codes, each of which begins as the one of its own that ``origins_K`` names."""
        config = self.config.model_copy(update={"codebook_size": len(origins_K)})
        rows = torch.cat([origins_K, torch.tensor([self.config.codebook_size])])
        state = self.state_dict()
        larger = type(self)(config)
        larger.load_state_dict(state | {"codes.weight": state["codes.weight"][rows]})
        return larger.train(self.training)

    @torch.no_grad()
    def start_from(self, plain: dict[str, Tensor], code_embeddings_KD: Tensor) -> None:
        """Start from a tokenizer's plain decoder; for patches of another size its output layer is resized.

        Args:
            plain: its state dict. Blocks that it lacks keep their fresh weights, with residual branches of zero.
            code_embeddings_KD: its embedding of each code.
        """
        self.start(plain)
        self.codes.weight[:-1] = code_embeddings_KD
        self.codes.weight[-1] = code_embeddings_KD.mean(0)

    @torch.no_grad()
    def start(self, plain: dict[str, Tensor]) -> None:
        """``start_from`` but for the codes."""
        own = self.state_dict()
        if "out.linear.weight" in plain and plain["out.linear.weight"].shape[1] == self.config.width:
            plain = plain | {name: self.resized(plain[name]) for name in ("out.linear.weight", "out.linear.bias")}
        copied = {name: value for name, value in plain.items() if name in own and own[name].shape == value.shape}
        self.load_state_dict(copied, strict=False)
        for index, block in enumerate(self.blocks):
            if f"blocks.{index}.attention.out.weight" not in copied:
                zero_residuals(block)

    def resized(self, values: Tensor) -> Tensor:
        """Weights (or biases) of an output layer, resized to this decoder's patch."""
        side, wanted = math.isqrt(len(values) // 3), 2 * self.config.patch
        if side == wanted:
            return values
        image_1FSS = values.view(side, side, -1).permute(2, 0, 1)[None]
        resized = F.interpolate(image_1FSS, size=(wanted, wanted), mode="bilinear", antialias=True)
        return resized[0].permute(1, 2, 0).reshape(-1, *values.shape[1:])

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors."""
        saving.save(self, self.config, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what ``save`` wrote, ready for inference.

        Raises:
            ModelError: it is missing or damaged.
        """
        return saving.load(lambda config: cls(DecoderConfig(**config)), "decoder", folder)


def sinusoids(time_B: Tensor, width: int = 128) -> Tensor:
    """The sinusoidal embedding of times: (B, width)."""
    frequencies = torch.exp(-math.log(1000.0) * torch.arange(width // 2, device=time_B.device) / (width // 2))
    angles = 1000.0 * time_B.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)
