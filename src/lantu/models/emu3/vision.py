"""The VQ model of Emu3, which transformers computes: codes → pixels and back.

It is made for video; a picture is the first of the frames that it decodes. Shapes: B batch, H W pixels, h w grid.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lantu.models.emu3 import weights
from lantu.models.emu3.config import Config
from lantu.models.published.modules import load, require
from lantu.weights import arrays, manifest


class Vq:
    """The image tokenizer, in the dtype in which it is stored.

    Raises:
        ModelError: a file is missing or damaged, or a tensor is not the one that config.json asks for.
        LantuError: transformers is not installed.
    """

    def __init__(self, folder: str | Path, config: Config, device: str = "cpu"):
        require("Emu3")
        from transformers import Emu3VQVAE, Emu3VQVAEConfig

        self.device = device
        self.mean, self.std = np.array(config.mean), np.array(config.std)
        prefix = weights.vq_prefix(arrays.entries(folder))
        self.network: Any = load(lambda: Emu3VQVAE(Emu3VQVAEConfig(**config.vq)), folder, prefix, device)

    def decode(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8, rounded down as transformers' image processor does it."""
        pixels_BHWC = self.pixels(codes_Bhw).transpose(0, 2, 3, 1)
        scaled_BHWC = ((pixels_BHWC - (-self.mean / self.std)) / (1 / self.std)).astype(np.float32) * 255
        return scaled_BHWC.clip(0, 255).astype(np.uint8)

    def pixels(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """What the network computes: (B, 3, H, W) float32, normalised."""
        import torch

        with torch.inference_mode():  # one by one: a picture must not depend on those that are decoded with it
            ids_Bhw = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).to(self.device)
            pixels = torch.cat([self.network.decode(ids_hw[None]) for ids_hw in ids_Bhw]).float().cpu().numpy()
        manifest.check_finite("decoder", pixels)
        return pixels

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (B, H, W, 3) uint8, sides multiples of the patch → codes (B, h, w) int64.

        Raises:
            ModelError: the weights are damaged: some numbers are not finite.
        """
        import torch

        pixels_BHWC = (pictures.astype(np.float32) / 255 - self.mean) / self.std
        pixels_BCHW = torch.from_numpy(pixels_BHWC.transpose(0, 3, 1, 2).copy()).to(self.device, self.network.dtype)
        sizes = [list(pictures.shape[1:3])]
        with torch.inference_mode():
            found = [self.network.encode(each[None], sizes, return_dict=True) for each in pixels_BCHW]
        manifest.check_finite("tokenizer", np.stack([each.last_hidden_state.float().cpu().numpy() for each in found]))
        return torch.cat([torch.stack(each.image_tokens) for each in found]).cpu().numpy()
