"""Pictures to codes on torch, for GPUs: what ``native`` computes. NumPy arrays in, NumPy arrays out.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w, M = B·N vectors, E code width, K codebook size.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lantu.diffusion.arrays import to_numpy
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.weights.manifest import check_finite


class TorchEncoder:
    """Encoder and quantiser, in float32: see ``lantu.models.lantu.components.Encoder``."""

    def __init__(self, network: ImageTokenizer):
        self.network = network
        config = network.config
        likened = config.quantizer != "fsq" and config.depth == 1 and not config.queries
        self.vectors_KE = to_numpy(network.quantizer.vectors()) if likened else None

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "TorchEncoder":
        """Read a tokenizer's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        network = ImageTokenizer.load(folder).to(device)
        if network.codec:
            network.codec.to(torch.device(device))
        return cls(network)

    @property
    def variance(self) -> float:
        """The mean squared distance of the code vectors from their mean; 0 for a lattice."""
        return 0.0 if self.vectors_KE is None else float(self.vectors_KE.var(0).sum())

    @torch.inference_mode()
    def encode(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """Pictures in [-1, 1], sides multiples of the patch → codes (B, h, w) int64.

        Raises:
            ModelError: the encoder computes numbers that are not finite.
        """
        z_BNE = self.vectors_of(pixels_BCHW)
        check_finite("tokenizer", to_numpy(z_BNE))
        config = self.network.config
        shape = config.codes_of(*(side // config.patch for side in pixels_BCHW.shape[2:]))
        return self.network.quantizer(z_BNE)[1].view(-1, *shape).cpu().numpy()

    @torch.inference_mode()
    def distances(self, pixels_BCHW: np.ndarray) -> np.ndarray | None:
        """The squared distance of each cell to each code vector, (B, N, K) float32; None without one code a cell."""
        if self.vectors_KE is None:
            return None
        z_BNE, vectors_KE = self.vectors_of(pixels_BCHW), self.network.quantizer.vectors().float()
        squares_BN1, squares_K = z_BNE.square().sum(-1, keepdim=True), vectors_KE.square().sum(-1)
        return to_numpy(squares_BN1 + squares_K - 2 * z_BNE @ vectors_KE.T)

    def vectors_of(self, pixels_BCHW: np.ndarray) -> Tensor:
        """The vector of each cell before quantisation: (B, N, E) float32."""
        device = self.network.encoder.out.weight.device
        return self.network.encoder(self.network.seen(torch.from_numpy(pixels_BCHW).to(device))).float()
