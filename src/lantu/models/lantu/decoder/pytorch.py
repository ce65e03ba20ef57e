"""The diffusion decoder on torch, behind the interface of rendering: arrays in, arrays out, wherever it computes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lantu.models.lantu.decoder.control import ControlNetwork
from lantu.models.lantu.decoder.network import PixelDecoder


class TorchDenoiser:
    """Noisy pixels, a time and codes → clean pixels: see ``lantu.diffusion.sample.Denoiser``."""

    def __init__(self, network: PixelDecoder):
        self.network, self.patch = network, network.config.patch

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "TorchDenoiser":
        """Read a decoder's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(PixelDecoder.load(folder).to(device))

    @torch.inference_mode()
    def __call__(
        self,
        noisy_BCHW: np.ndarray,
        time: float,
        codes_Bhw: np.ndarray,
        control_residuals_2BND: np.ndarray | None = None,
    ) -> np.ndarray:
        device = self.network.codes.weight.device
        noisy, codes = torch.from_numpy(noisy_BCHW).to(device), torch.from_numpy(codes_Bhw).to(device)
        control_residuals = (
            None if control_residuals_2BND is None else torch.from_numpy(control_residuals_2BND).to(device)
        )
        return self.network(noisy, noisy.new_full((len(noisy),), time), codes, control_residuals).float().cpu().numpy()


class TorchControl:
    """A picture of control, its kind and codes → what is added to the decoder's tokens: see ``control.Control``."""

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
        """(2, B, N, D)."""
        return self.network(*self.given(control_BCHW, kind, codes_Bhw)).float().cpu().numpy()

    @torch.inference_mode()
    def bias(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray, row: int) -> np.ndarray:
        """(B, w, K)."""
        return self.network.bias(*self.given(control_BCHW, kind, codes_Bhw), row).float().cpu().numpy()

    def given(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        device = self.network.codes.weight.device
        kinds = torch.full((len(codes_Bhw),), kind, device=device)
        return torch.from_numpy(control_BCHW).to(device), kinds, torch.from_numpy(codes_Bhw).to(device)
