"""What renders the codes of a described model, by the kind that its layout file names.

Shapes: B batch, h w grid, H W pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lantu import images
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError
from lantu.models.published.modules import load, require
from lantu.weights import arrays, manifest

HINT = "fetch it again"


class Renderer(Protocol):
    """Codes → pixels.

    Attributes:
        patch: pixels a side of a code.
        codebook_size: number of codes.
        partial: it renders grids with missing codes.
    """

    patch: int
    codebook_size: int
    partial: bool

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8; a pure function of its arguments."""
        ...


class Emu3Vq:
    """Emu3's VQ model alone, in a directory that transformers saved: see ``Renderer``.

    Raises:
        ModelError: it is missing or damaged, or a tensor is not the one that its config.json asks for.
    """

    partial = False

    def __init__(self, folder: Path, device: str = "cpu"):
        require("Emu3's VQ model")
        from transformers import Emu3VQVAE, Emu3VQVAEConfig

        config = arrays.read_config(folder)
        if config.get("model_type") != Emu3VQVAEConfig.model_type:
            raise ModelError(f"{folder} holds no {Emu3VQVAEConfig.model_type}", HINT)
        settings: Any = Emu3VQVAEConfig(**config)
        self.device, self.codebook_size = device, settings.codebook_size
        self.network: Any = load(lambda: Emu3VQVAE(settings), folder, "", device)
        self.patch: int = 2 ** (len(settings.channel_multiplier) - 1)

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8."""
        import torch

        with torch.inference_mode():  # one by one: a picture must not depend on those that are decoded with it
            ids_Bhw = torch.from_numpy(np.ascontiguousarray(codes_Bhw, np.int64)).to(self.device)
            pixels = torch.cat([self.network.decode(ids_hw[None]) for ids_hw in ids_Bhw]).float().cpu().numpy()
        manifest.check_finite("decoder", pixels)
        return images.to_bytes(pixels)


class Diffusion:
    """A diffusion decoder of lantu's: see ``Renderer``.

    Raises:
        ModelError: it is missing or damaged.
    """

    def __init__(self, folder: Path, device: str = "cpu"):
        from lantu.models.lantu import components

        self.decoder = components.load_decoder(folder, device)
        self.partial, self.patch = self.decoder.partial, self.decoder.patch
        self.codebook_size = arrays.read_config(folder).get("codebook_size", 0)

    def paint(self, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8; MASK_CODE where a code is not known."""
        from lantu.diffusion.sample import sample

        how = (params.steps, params.render_guidance, params.sampler)
        return images.to_bytes(sample(self.decoder, codes_Bhw, list(seeds), *how))


def vqgan(folder: Path, device: str = "cpu") -> Renderer:
    """A VQ-GAN. Raises ModelError."""
    from lantu.models.plain.vqgan import VqGan

    return VqGan(folder, device)


KINDS = {"vqgan": vqgan, "emu3": Emu3Vq, "lantu": Diffusion}
DENOISING = ("lantu",)  # kinds that follow seeds, steps, render guidance and sampler
