"""The diffusion decoder and its control on torch, for GPUs and for training.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w, D width, K codebook size.
"""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from lantu.diffusion.arrays import to_numpy
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.models.lantu.decoder.control import ControlNetwork
from lantu.models.lantu.decoder.network import PixelDecoder


class TorchDenoiser:
    """A ``PixelDecoder``, where it is, as a ``lantu.diffusion.decoder.Denoiser`` that predicts the clean picture."""

    def __init__(self, network: PixelDecoder):
        self.network, self.patch = network, network.config.patch
        self.canvas, self.depth = canvas_of(network), depth_of(network)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Read a decoder's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(PixelDecoder.load(folder).to(device))

    def to_device(self, array: np.ndarray) -> Tensor:
        """The array on the network's device."""
        return torch.from_numpy(array).to(self.network.codes.weight.device)

    @torch.inference_mode()
    def __call__(self, x_t_BCHW: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        """The clean pictures (B, C, H, W) float32."""
        times_B = x_t_BCHW.new_full((len(x_t_BCHW),), timestep)
        return self.network(x_t_BCHW, times_B, conditioning.codes_Bhw, conditioning.control_residuals_2BND).float()


def as_decoder(network: PixelDecoder) -> DiffusionDecoder:
    """A network in training, ready for ``lantu.diffusion.sample.sample``."""
    order = {"canvas": canvas_of(network), "depth": depth_of(network)}
    return DiffusionDecoder(TorchDenoiser(network), network.config.patch, **order)


def canvas_of(network: PixelDecoder) -> tuple[int, int] | None:
    """Rows and columns of cells that a sequence of codes makes; None where codes are a grid."""
    side = getattr(network.config, "cells", 0)  # rivals' configs have none
    return (side, side) if side else None


def depth_of(network: PixelDecoder) -> int:
    """Codes of a cell."""
    return getattr(network.config, "depth", 1)  # the same


class TorchControl:
    """A picture of control, its kind and the codes → what is added to the decoder's tokens: see ``control``."""

    def __init__(self, network: ControlNetwork):
        self.network = network
        self.strengths = network.config.strengths

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "TorchControl":
        """Read a control's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(ControlNetwork.load(folder).to(device))

    @torch.inference_mode()
    def __call__(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> np.ndarray:
        """(2, B, N, D): see ``ControlNetwork.forward``."""
        return to_numpy(self.network(*self.tensors(control_BCHW, kind, codes_Bhw)))

    @torch.inference_mode()
    def bias(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray, row: int) -> np.ndarray:
        """(B, w, K): see ``ControlNetwork.bias``."""
        return to_numpy(self.network.bias(*self.tensors(control_BCHW, kind, codes_Bhw), row))

    def tensors(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """The arguments on the network's device, the kind once for each picture."""
        device = self.network.codes.weight.device
        kinds_B = torch.full((len(codes_Bhw),), kind, device=device)
        return torch.from_numpy(control_BCHW).to(device), kinds_B, torch.from_numpy(codes_Bhw).to(device)
