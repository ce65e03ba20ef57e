"""Autoencoders of diffusers as latent codecs. Shapes: B batch, C channels, H W pixels, h w sides of a latent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lantu.diffusion.arrays import Array
from lantu.diffusion.decoder import LatentCodec
from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.models.diffusers import modules
from lantu.models.diffusers.kinds import MAX_WIDTH, check_numbers
from lantu.models.diffusers.tiny_autoencoder import TinyAutoencoder

CODECS = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")
TINY = "TinyAutoencoder"


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
        self.channels, self.factor = sizes_of(config, "the autoencoder's config.json")
        self.scaling, self.shift = scale_of(config, "the autoencoder's config.json")

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
        return self.encoded(pixels_BCHW)

    @torch.inference_mode()
    def decode(self, latents_BCHW: Array) -> Tensor:
        """Latents → pixels (B, 3, H, W)."""
        return self.decoded(latents_BCHW)

    def encoded(self, pixels_BCHW: Array) -> Tensor:
        """``encode`` for training: gradients pass."""
        latents = self.network.encode(self.tensor(pixels_BCHW))[0]
        latents = latents if isinstance(latents, Tensor) else latents.mode()
        return (latents - self.shift) * self.scaling

    def decoded(self, latents_BCHW: Array) -> Tensor:
        """``decode`` for training: gradients pass."""
        return self.network.decode(self.tensor(latents_BCHW) / self.scaling + self.shift).sample

    def to(self, device: torch.device) -> None:
        """Move it to a device."""
        self.network.to(device)

    def tensor(self, array: Array) -> Tensor:
        """A NumPy array or a tensor, on the network's device and in its dtype."""
        return torch.as_tensor(array).to(next(self.network.parameters()))


def codec_class(folder: Path) -> str:
    """The class of the autoencoder in a folder: one of ``CODECS``, or ``TINY`` for two files without a config.

    Raises:
        ModelError: there is none, or it is of another class.
    """
    if not (folder / "config.json").exists() and (folder / "decoder.safetensors").is_file():
        return TINY
    return str(codec_config(folder)["_class_name"])


def codec_config(folder: Path) -> dict[str, Any]:
    """The config.json of an autoencoder of diffusers, once its numbers are in range.

    Raises:
        ModelError: it is of another class, or its latents are not only scaled and shifted.
    """
    config = modules.read_config(folder, CODECS, "autoencoder")
    for entry in ("latents_mean", "latents_std"):
        if config.get(entry):
            raise ModelError(f"the autoencoder in {folder} has {entry}", "give one that only scales and shifts")
    where = str(folder / "config.json")
    check_numbers(config, where)
    scale_of(config, where)
    return config


def load_codec(folder: Path, device: str | torch.device = "cpu") -> LatentCodec:
    """The autoencoder in a folder, in float32: it runs once for a picture, and half precision overflows in some.

    Raises:
        ModelError: it is missing or damaged, or a tensor is not what its config asks for.
    """
    if codec_class(folder) == TINY:
        return TinyAutoencoder.load(folder, device)
    config = codec_config(folder)
    modules.check(folder, config)
    return AutoencoderCodec(modules.load(folder, config, torch.float32, device))


def codec_sizes(folder: Path) -> tuple[int, int]:
    """Channels of the latents of the autoencoder in a folder, and pixels a side of one of them.

    Raises:
        ModelError: it is missing or damaged.
    """
    if codec_class(folder) == TINY:
        return TinyAutoencoder.load(folder).channels, TinyAutoencoder.factor
    return sizes_of(codec_config(folder), str(folder / "config.json"))


def scale_of(config: Mapping[str, Any], where: str) -> tuple[float, float]:
    """What latents are multiplied with, and what is taken off before. Raises ModelError."""
    fields = Fields(config, where)
    scaling = fields.real("scaling_factor", 1e-6, 1e6) if "scaling_factor" in config else 1.0
    return scaling, fields.real("shift_factor", -1e6, 1e6) if fields.given("shift_factor") else 0.0


def sizes_of(config: Mapping[str, Any], where: str) -> tuple[int, int]:
    """Channels and factor by an autoencoder's config. Raises ModelError."""
    fields = Fields(config, where)
    levels = "block_out_channels" if fields.given("block_out_channels") else "encoder_block_out_channels"
    return fields.whole("latent_channels", 1, MAX_WIDTH), 2 ** (len(fields.wholes(levels, 1, MAX_WIDTH)) - 1)
