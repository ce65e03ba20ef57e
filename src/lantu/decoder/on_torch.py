"""The diffusion decoder on torch, behind the interface of rendering: arrays in, arrays out, wherever it computes."""

from pathlib import Path

import numpy as np
import torch

from lantu.decoder.model import PixelDecoder


class Decoder:
    """Noisy pixels, a time and codes → clean pixels: see ``lantu.decoder.render.Predict``."""

    def __init__(self, network: PixelDecoder):
        self.network, self.patch = network, network.config.patch

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "Decoder":
        """Read a decoder's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(PixelDecoder.load(folder).to(device))

    @torch.inference_mode()
    def __call__(self, noisy_BCHW: np.ndarray, time: float, codes_Bhw: np.ndarray) -> np.ndarray:
        device = self.network.codes.weight.device
        noisy, codes = torch.from_numpy(noisy_BCHW).to(device), torch.from_numpy(codes_Bhw).to(device)
        return self.network(noisy, noisy.new_full((len(noisy),), time), codes).float().cpu().numpy()
