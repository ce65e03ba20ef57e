"""lantu's diffusion decoder conditioned by vectors in the place of codes, on torch.

Shapes: B batch, C channels, H W pixels, h w grid, E numbers of a vector, D width.
"""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.models.lantu import saving
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.decoder.pytorch import TorchDenoiser
from lantu.rivals.continuous.config import VectorDecoderConfig


class VectorDecoder(PixelDecoder):
    """A ``PixelDecoder`` whose tokens carry a vector (B, h, w, E) each; one that begins with NaN is not known."""

    config: VectorDecoderConfig

    def __init__(self, config: VectorDecoderConfig):
        super().__init__(config)
        # Not 0: a whole picture of zeros, as noisy pixels are at first too, has gradients beyond all numbers in a norm.
        self.unknown = nn.Parameter(0.02 * torch.randn(config.width))

    def table(self) -> nn.Module:
        """What turns vectors into tokens."""
        return nn.Linear(self.config.vector_width, self.config.width)

    def tokens(self, codes_Bhw: Tensor) -> Tensor:
        """(B, h·w, D): of the vectors (B, h, w, E) alone."""
        vectors_BNE = codes_Bhw.flatten(1, 2)
        known_BN1 = vectors_BNE[..., :1].isfinite()
        return torch.where(known_BN1, self.codes(vectors_BNE.nan_to_num(0.0)), self.unknown)

    @torch.no_grad()
    def start_from_plain(self, plain: dict[str, Tensor], mean_E: Tensor, scale_E: Tensor) -> None:
        """Start from a tokenizer's plain decoder, which reads vectors before they are scaled."""
        weight_DE, bias_D = plain["embed.weight"], plain["embed.bias"]
        self.start(plain)
        self.codes.weight.copy_(weight_DE * scale_E)
        self.codes.bias.copy_(bias_D + weight_DE @ mean_E)
        self.unknown.copy_(self.codes.bias)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what ``save`` wrote, ready for inference. Raises ModelError where it is missing or damaged."""
        return saving.load(lambda config: cls(VectorDecoderConfig(**config)), "vector_decoder", folder)


class TorchVectorDenoiser(TorchDenoiser):
    """A ``VectorDecoder`` as a denoiser, whose "codes" are places in a table of vectors, -1 where one is not known."""

    def __init__(self, network: VectorDecoder, vectors_TE: np.ndarray | None = None):
        super().__init__(network)
        self.vector_network = network
        self.told_vectors = None if vectors_TE is None else self.to_device(vectors_TE)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Read a decoder's folder. Raises ModelError where it is missing or damaged."""
        return cls(VectorDecoder.load(folder).to(device))

    def told(self, vectors_TE: np.ndarray) -> "TorchVectorDenoiser":
        """This denoiser with a table of vectors."""
        return TorchVectorDenoiser(self.vector_network, vectors_TE)

    @torch.inference_mode()
    def __call__(self, x_t_BCHW: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        """The clean pictures (B, C, H, W) float32."""
        assert self.told_vectors is not None
        nothing = torch.full_like(self.told_vectors[:1], torch.nan)
        vectors_BhwE = torch.cat([self.told_vectors, nothing])[conditioning.codes_Bhw]
        times_B = x_t_BCHW.new_full((len(x_t_BCHW),), timestep)
        return self.network(x_t_BCHW, times_B, vectors_BhwE).float()


def as_decoder(network: VectorDecoder, vectors_BhwE: np.ndarray) -> DiffusionDecoder:
    """A network in training that renders these vectors, as codes 0, 1, 2, … in their order."""
    vectors_TE = vectors_BhwE.reshape(-1, vectors_BhwE.shape[-1])
    return DiffusionDecoder(TorchVectorDenoiser(network, vectors_TE), network.config.patch)
