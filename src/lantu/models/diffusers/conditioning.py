"""The adapter: a grid of codes → what a pretrained diffusion model is conditioned on in the place of a text.

    ids → embedding + 2-D position → MLP → attention layers → features (B, N, D)
    context (B, N, context width)          in the place of the text encoder's hidden states
    pooled  (B, pooled width)              of the features' mean, where the model wants such a vector
    spatial (B, channels, H, W)            added to what the model's first layer makes of its noisy latents; begins at
                                           zero, so that the pretrained model is at first exactly itself

A masked code has an embedding of its own. A grid of nothing else is the unconditional context, for guidance.

Shapes: B batch, h w grid, N = h·w, D width, K codebook size, E code width, H W sides of the first layer's output.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from lantu import files
from lantu.weights import manifest, tensors


class AdapterConfig(BaseModel):
    """Sizes of an adapter.

    Attributes:
        codebook_size: K, of the tokenizer whose codes it reads.
        width: D, of its features.
        layers: of attention over the whole grid; 0 for none.
        context_width: of one token of the model's context.
        pooled_width: of the model's pooled vector; 0 for none.
        spatial_width: channels of the model's first layer.
        spatial_kernel: side of the spatial branch's kernel: 3 for a UNet, 1 where patches are added to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    codebook_size: int = Field(ge=2, le=65536)
    width: int = 512
    layers: int = Field(2, ge=0)
    context_width: int = 768
    pooled_width: int = Field(0, ge=0)
    spatial_width: int = 320
    spatial_kernel: int = 3

    @property
    def heads(self) -> int:
        """Attention heads, 64 wide or less."""
        return max(1, self.width // 64)


class Adapter(nn.Module):
    """See the module."""

    def __init__(self, config: AdapterConfig):
        super().__init__()
        self.config = config
        D = config.width
        self.codes = nn.Embedding(config.codebook_size + 1, D)  # the last one is MASK_CODE
        nn.init.normal_(self.codes.weight)
        self.mlp = nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(D, config.heads, 4 * D, 0.0, F.gelu, batch_first=True, norm_first=True)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(D)
        self.context = nn.Linear(D, config.context_width)
        self.pooled = nn.Linear(D, config.pooled_width) if config.pooled_width else None
        kernel = config.spatial_kernel
        self.spatial = nn.Conv2d(D, config.spatial_width, kernel, padding=kernel // 2, bias=False)
        nn.init.zeros_(self.spatial.weight)

    def forward(self, codes_Bhw: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Context (B, N, ·), pooled vector (B, ·) or None, and features (B, D, h, w) for ``residual``.

        Args:
            codes_Bhw: int64; MASK_CODE where a code is not known.
        """
        B, h, w = codes_Bhw.shape
        table = torch.where(codes_Bhw < 0, self.config.codebook_size, codes_Bhw).flatten(1)
        x_BND = self.codes(table) + positions(h, w, self.config.width, codes_Bhw.device)
        x_BND = x_BND + self.mlp(x_BND)
        for layer in self.layers:
            x_BND = layer(x_BND)
        x_BND = self.norm(x_BND)
        pooled = self.pooled(x_BND.mean(1)) if self.pooled is not None else None
        return self.context(x_BND), pooled, x_BND.transpose(1, 2).reshape(B, -1, h, w)

    def residual(self, features_BDhw: Tensor, height: int, width: int) -> Tensor:
        """The spatial branch: features → (B, channels, height, width)."""
        if features_BDhw.shape[2:] != (height, width):
            features_BDhw = F.interpolate(features_BDhw, (height, width), mode="bilinear", align_corners=False)
        return self.spatial(features_BDhw)

    @torch.no_grad()
    def start_from(self, vectors_KE: Tensor, seed: int = 0) -> None:
        """Begin with the tokenizer's code vectors, turned into D dimensions: codes that look alike begin alike."""
        centred_KE = vectors_KE.float() - vectors_KE.float().mean(0)
        generator = torch.Generator().manual_seed(seed)
        turn_ED = torch.randn(centred_KE.shape[1], self.config.width, generator=generator)
        turned_KD = centred_KE @ turn_ED
        self.codes.weight[:-1] = turned_KD / turned_KD.std().clamp_min(1e-8)
        self.codes.weight[-1] = 0

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors, in float32: it goes on being trained."""
        tensors.save(self.state_dict(), Path(folder), dtype=torch.float32)
        files.write_json(Path(folder) / "config.json", self.config.model_dump())

    @classmethod
    def load(cls, folder: str | Path) -> "Adapter":
        """Read what ``save`` wrote, ready for inference.

        Raises:
            ModelError: it is missing or damaged.
        """
        adapter = cls(AdapterConfig(**manifest.read("adapter", folder)))
        adapter.load_state_dict({name: value.float() for name, value in tensors.load(Path(folder)).items()})
        return adapter.eval().requires_grad_(False)


def positions(height: int, width: int, D: int, device: torch.device) -> Tensor:
    """Sinusoids of each cell's row and column: (N, D), half of it for either (arXiv:1706.03762, section 3.5)."""
    quarter = D // 4
    rates = torch.exp(-math.log(1e4) * torch.arange(quarter, device=device) / quarter)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    angles_2NQ = torch.stack([rows, columns]).flatten(1)[..., None] * rates
    return torch.cat([*angles_2NQ.sin(), *angles_2NQ.cos()], -1)
