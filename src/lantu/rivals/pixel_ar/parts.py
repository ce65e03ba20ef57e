"""The parts of a pixel-autoregressive model: the language model of lantu's own family, and a palette that renders."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from lantu import images
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import AbilityError
from lantu.models.control import Control
from lantu.models.lantu.layout import Example, LantuLayout
from lantu.models.lantu.parts import LantuParts
from lantu.models.spec import Grid
from lantu.rivals.pixel_ar.palette import Palette


class PixelLayout(LantuLayout):
    """Prompts as lantu's own family writes them, without examples: two pictures would fill the context."""

    def example_ids(self, examples: Sequence[Example], language: str = "") -> list[int]:
        """Raises AbilityError, always."""
        raise AbilityError(f"{self.folder.name} can't draw by examples", "leave them out", "examples")


class PixelParts(LantuParts):
    """See ``LantuParts``."""

    previews = True
    pretrained = False

    @cached_property
    def layout(self) -> LantuLayout:
        """Prompts and colours as ids."""
        return PixelLayout(self)

    @property
    def exact(self) -> bool:
        """Each picture is painted by itself."""
        return True

    @cached_property
    def encoder(self) -> Any:
        """The palette, which finds the nearest colours."""
        return Palette.load(self.folder.path / "palette")

    def scaled(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures averaged to the size of a draft, (B, 3, h, w) in [-1, 1]."""
        height, width = (side // self.folder.patch for side in pictures.shape[1:3])
        return images.average(images.to_pixels(pictures), height, width)

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """Colours → pictures (B, H, W, 3) uint8."""
        return self.encoder.paint(codes_Bhw)

    def check_control(self, control: Control, grid: Grid) -> None:
        """Raises AbilityError: nothing here follows a picture."""
        raise AbilityError(f"{self.folder.name} can't be controlled by a picture", "leave out the control", "control")
