"""A pretrained codec under an image tokenizer: codes then stand for its latents, and its decoder paints.

The codec is never trained. It lies in the tokenizer's folder, as its publisher wrote it; config.json has its digest.

Shapes: B batch, C channels, H W pixels, h w latents.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lantu import files
from lantu.errors import ModelError
from lantu.models.lantu.tokenizer.codec_files import digest, paths

if TYPE_CHECKING:
    from lantu.models.diffusers.tiny_autoencoder import TinyAutoencoder
    from lantu.models.diffusers.vae import AutoencoderCodec


class Codec:
    """An autoencoder that ``lantu.models.diffusers.vae.load_codec`` opens.

    Raises:
        ModelError: there is none in the folder, or it is damaged.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu"):
        from lantu.models.diffusers.vae import load_codec

        self.folder = Path(folder)
        self.codec: TinyAutoencoder | AutoencoderCodec | Any = load_codec(self.folder, device)
        self.device = torch.device(device)

    @property
    def sizes(self) -> dict[str, Any]:
        """The entries of ``TokenizerConfig`` that say which codec it is."""
        return {"latents": self.codec.channels, "factor": self.codec.factor, "codec": digest(self.folder)}

    def encode(self, pixels_BCHW: Tensor) -> Tensor:
        """Pixels in [-1, 1] → latents, without gradients."""
        with torch.no_grad():
            return self.codec.encoded(pixels_BCHW).float()

    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """Latents → pixels. Gradients pass."""
        return self.codec.decoded(latents_BCHW).float()

    def to(self, device: torch.device) -> None:
        """Move it to a device."""
        if device != self.device:
            self.codec.to(device)
            self.device = device

    def save(self, folder: Path) -> None:
        """Copy its files.

        Raises:
            DiskError: a file can't be written.
        """
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for path in paths(self.folder):
                shutil.copyfile(path, folder / path.name)


def open_codec(folder: Path, expected: dict[str, Any]) -> Codec:
    """The codec of a tokenizer, once it is the one that the codes were learnt from.

    Args:
        expected: the tokenizer's entries ``latents``, ``factor`` and ``codec``.

    Raises:
        ModelError: it is missing, damaged or another one.
    """
    if digest(folder) != expected["codec"]:
        raise ModelError(f"{folder} doesn't hold the codec of this image tokenizer", "fetch the tokenizer again")
    codec = Codec(folder)
    if any(codec.sizes[name] != value for name, value in expected.items()):
        raise ModelError(f"the codec in {folder} has other latents than the tokenizer's config.json says", "restore it")
    return codec
