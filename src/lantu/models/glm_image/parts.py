"""The parts of a GLM-Image model: the language model by lantu's engine, pixels by diffusers' pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError
from lantu.models.control import Control
from lantu.models.glm_image.folder import GlmImageFolder
from lantu.models.glm_image.layout import GlmImageLayout
from lantu.models.published.parts import PublishedParts


@dataclass(frozen=True)
class GlmImageParts(PublishedParts):
    """Each part is loaded when it is first needed; see ``lantu.models.spec.Parts``.

    Raises:
        LantuError: another backend than the native one is asked for.
    """

    folder: GlmImageFolder

    previews = True  # of the small grid, which ``GlmImageLayout.sketch`` gives

    def __post_init__(self):
        if self.backend != "native":
            what = f"{self.backend} can't draft at GLM-Image's positions and with its head"
            raise LantuError(what, "leave out --backend")

    @cached_property
    def layout(self) -> GlmImageLayout:
        return GlmImageLayout(self.folder)

    @cached_property
    def language(self) -> Any:
        """On the native kernels on a CPU; on torch on a GPU, and for widths that the kernels don't take."""
        from lantu.models.glm_image import language

        return language.load(self.folder, self.device)

    @cached_property
    def decoder(self) -> Any:
        """The pipeline's diffusion decoder, with the encoder of quoted text."""
        from lantu.models.glm_image.decoder import Decoder

        return Decoder(self.folder.path, self.folder.config, self.device)

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8.

        Args:
            prompts: one a picture, of which the decoder reads what stands in quotation marks; none for none.

        Raises:
            ModelError: the decoder computes numbers that are not finite.
        """
        if control:
            self.refuse_control()
        prompts = prompts or [""] * len(codes_Bhw)
        return self.decoder.decode(codes_Bhw, seeds, prompts, params.steps, params.render_guidance)

    def encode(self, pictures: np.ndarray) -> NoReturn:
        """Raises LantuError: only its drawings' own codes are read."""
        self.layout.refuse_picture()
