"""Tiny autoencoders of the TAESD family as latent codecs: TAESD, TAESDXL, TAESD3, TAEF1, TAEF2.

They approximate the autoencoders of Stable Diffusion and FLUX with about a million weights in each direction. Their
folders hold ``encoder.safetensors`` and ``decoder.safetensors``, and all sizes follow from these. Those with pooled
blocks (TAEF2) are not read by diffusers' ``AutoencoderTiny``. Shapes: B batch, C channels, H W pixels, h w latents.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.diffusion.arrays import Array
from lantu.errors import ModelError
from lantu.files.untrusted import check_regular

STAGES = 3  # each halves both sides
HINT = "give a folder with encoder.safetensors and decoder.safetensors of a tiny autoencoder"


class Clamp(nn.Module):
    """A soft bound of latents to ±3."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return 3 * torch.tanh(x / 3)


class Block(nn.Module):
    """Three convolutions around a skip; pooled ones first add a normalised pointwise branch."""

    def __init__(self, width: int, pooled: bool):
        super().__init__()
        self.conv = nn.Sequential(
            convolution(width, width), nn.ReLU(), convolution(width, width), nn.ReLU(), convolution(width, width)
        )
        self.pool = None
        if pooled:
            inner = 4 * width
            into, out = nn.Conv2d(width, inner, 1, bias=False), nn.Conv2d(inner, width, 1, bias=False)
            self.pool = nn.Sequential(into, nn.GroupNorm(4, inner), nn.ReLU(), out)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if self.pool is not None:
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


def convolution(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """3 × 3, padded to keep the size."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def encoder(channels: int, width: int = 64, pooled: bool = False) -> nn.Sequential:
    """Pixels in [0, 1] → latents."""
    layers: list[nn.Module] = [convolution(3, width), Block(width, False)]
    for stage in range(STAGES):
        layers.append(convolution(width, width, stride=2, bias=False))
        layers += [Block(width, pooled and stage == STAGES - 1) for _ in range(3)]
    return nn.Sequential(*layers, convolution(width, channels))


def decoder(channels: int, width: int = 64, pooled: bool = False) -> nn.Sequential:
    """Latents → pixels in [0, 1]."""
    layers: list[nn.Module] = [Clamp(), convolution(channels, width), nn.ReLU()]
    for stage in range(STAGES):
        layers += [Block(width, pooled and stage == 0) for _ in range(3)]
        layers += [nn.Upsample(scale_factor=2), convolution(width, width, bias=False)]
    return nn.Sequential(*layers, Block(width, False), convolution(width, 3))


class TinyAutoencoder:
    """See the module, and ``lantu.diffusion.decoder.LatentCodec``."""

    factor = 2**STAGES

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential, channels: int):
        self.encoder, self.decoder = (part.eval().requires_grad_(False) for part in (encoder, decoder))
        self.channels = channels

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "TinyAutoencoder":
        """Read a folder's two files, in float32.

        Raises:
            ModelError: a file is missing, damaged, or of another network.
        """
        encoding, decoding = (read(Path(folder) / f"{name}.safetensors") for name in ("encoder", "decoder"))
        first = decoding.get("1.weight")
        if first is None or first.ndim != 4:
            raise ModelError(f"no tiny autoencoder in {folder}", HINT)
        width, channels = first.shape[:2]
        pooled = any(".pool." in name for name in decoding)
        made = encoder(channels, width, pooled), decoder(channels, width, pooled)
        try:
            for network, state in zip(made, (encoding, decoding), strict=True):
                network.load_state_dict(state)
        except RuntimeError as problem:
            raise ModelError(f"no tiny autoencoder in {folder} ({str(problem).splitlines()[0]})", HINT) from problem
        return cls(made[0].to(device), made[1].to(device), channels)

    @torch.inference_mode()
    def encode(self, pixels_BCHW: Array) -> Tensor:
        """Pixels in [-1, 1] → latents (B, channels, H / 8, W / 8)."""
        return self.encoded(pixels_BCHW)

    @torch.inference_mode()
    def decode(self, latents_BCHW: Array) -> Tensor:
        """Latents → pixels (B, 3, H, W)."""
        return self.decoded(latents_BCHW)

    def encoded(self, pixels_BCHW: Array) -> Tensor:
        """``encode`` for training: gradients pass."""
        return self.encoder(self.tensor(pixels_BCHW) / 2 + 0.5)

    def decoded(self, latents_BCHW: Array) -> Tensor:
        """``decode`` for training: gradients pass."""
        return self.decoder(self.tensor(latents_BCHW)) * 2 - 1

    def to(self, device: torch.device) -> None:
        """Move it to a device."""
        self.encoder.to(device), self.decoder.to(device)

    def tensor(self, array: Array) -> Tensor:
        """A NumPy array or a tensor, on the networks' device, float32."""
        return torch.as_tensor(array).to(next(self.decoder.parameters()))


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, in float32.

    Raises:
        ModelError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_regular([path])
        return {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"{path} can't be read ({problem})", HINT) from problem
