"""The parts of a latent diffusion model, each loaded when it is first needed."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lantu import images
from lantu.diffusion.arrays import to_numpy
from lantu.engine.sampling_params import SamplingParams
from lantu.models.control import Control
from lantu.models.published.parts import BATCH, PublishedParts
from lantu.models.published.text import Text
from lantu.rivals.latent_diffusion.denoising import DenoisingDrafter
from lantu.rivals.latent_diffusion.layout import LatentDiffusionLayout
from lantu.rivals.latent_diffusion.network import LatentDenoiser
from lantu.weights import manifest

PREVIEWED = 20_000_000  # parameters of the largest autoencoder that shows previews on a CPU


class LatentDiffusionParts(PublishedParts):
    """See ``lantu.models.spec.Parts``."""

    freed: ClassVar[dict[Any, tuple[str, ...]]] = {
        "drafting": ("denoiser", "drafter", "batched_drafter"),
        "rendering": ("codec",),
    }

    @cached_property
    def previews(self) -> bool:
        """Every step has a clean estimate; large autoencoders take too long for it on a CPU."""
        return self.device != "cpu" or self.folder.parameters()["vae"] < PREVIEWED

    @cached_property
    def layout(self) -> LatentDiffusionLayout:
        """Prompts as ids."""
        size = int(self.folder.read("text_encoder/config.json").get("vocab_size", 0))
        return LatentDiffusionLayout(self.folder, Text(self.folder.path / "tokenizer", size), self.encode)

    @cached_property
    def denoiser(self) -> LatentDenoiser:
        """Text encoder and UNet."""
        return LatentDenoiser.load(self.folder.path, self.device)

    @cached_property
    def drafter(self) -> DenoisingDrafter:
        """Denoises one picture after another, so that none depends on the others."""
        return DenoisingDrafter(self.denoiser, self.folder.latent_codes)

    @cached_property
    def batched_drafter(self) -> DenoisingDrafter:
        """Denoises many pictures at a time."""
        return DenoisingDrafter(self.denoiser, self.folder.latent_codes, max_drafts=BATCH)

    @cached_property
    def codec(self) -> Any:
        """The autoencoder."""
        from lantu.models.diffusers.vae import load_codec

        return load_codec(self.folder.path / "vae", self.device)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (B, H, W, 3) uint8 → the numbers of their latents (B, h, w)."""
        pixels = images.to_pixels(pictures)
        latents = [to_numpy(self.codec.encode(one[None])) for one in pixels]
        return self.folder.latent_codes.pack(np.concatenate(latents))

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """The numbers of latents → pictures (B, H, W, 3) uint8, one by one."""
        latents = self.folder.latent_codes.unpack(codes_Bhw)
        pixels = np.concatenate([to_numpy(self.codec.decode(one[None])) for one in latents])
        manifest.check_finite("decoder", pixels)
        return images.to_bytes(pixels.clip(-1, 1))
