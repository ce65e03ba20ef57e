"""Autoencoders of diffusers as latent codecs. Shapes: B batch, C channels, H W pixels, h w sides of a latent."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lantu.diffusion.arrays import Array
from lantu.errors import ModelError


class AutoencoderCodec:
    """An ``AutoencoderKL``, ``AutoencoderTiny`` or ``AutoencoderDC``: see ``lantu.diffusion.decoder.LatentCodec``.

    Latents are shifted and scaled as its config says, to about unit variance. An encoder that gives a distribution is
    taken at its mode, so that the same picture has the same latents.

    Args:
        network: the autoencoder, on the device on which it is to compute.
    """

    def __init__(self, network: Any):
        self.network = network.eval().requires_grad_(False)
        config = network.config
        self.channels = int(config.latent_channels)
        self.scaling = float(getattr(config, "scaling_factor", None) or 1.0)
        self.shift = float(getattr(config, "shift_factor", None) or 0.0)
        levels = getattr(config, "block_out_channels", None) or config.encoder_block_out_channels
        self.factor = 2 ** (len(levels) - 1)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "AutoencoderCodec":
        """Read a folder of diffusers: config.json, which names the class, and safetensors.

        Raises:
            ModelError: it is missing, damaged, or no autoencoder.
        """
        from diffusers import AutoModel

        try:
            network: Any = AutoModel.from_pretrained(str(folder), use_safetensors=True, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as problem:
            message = f"no autoencoder can be read in {folder} ({problem})"
            raise ModelError(message, "give one of diffusers'") from problem
        if not hasattr(network, "encode") or not hasattr(network, "decode"):
            raise ModelError(f"{folder} holds no autoencoder", "give one of diffusers'")
        return cls(network.to(device))

    @torch.inference_mode()
    def encode(self, pixels_BCHW: Array) -> Tensor:
        """Pixels in [-1, 1] → latents (B, channels, h, w)."""
        latents = self.network.encode(self.tensor(pixels_BCHW))[0]
        latents = latents if isinstance(latents, Tensor) else latents.mode()
        return (latents - self.shift) * self.scaling

    @torch.inference_mode()
    def decode(self, latents_BChw: Array) -> Tensor:
        """Latents → pixels (B, 3, H, W)."""
        return self.network.decode(self.tensor(latents_BChw) / self.scaling + self.shift).sample

    def tensor(self, array: Array) -> Tensor:
        """A NumPy array or a tensor, on the network's device and in its dtype."""
        return torch.as_tensor(array).to(next(self.network.parameters()))
