"""The parts of an Emu3 model: the language model by lantu's engine, pixels by transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lantu.engine.backends import stock
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError
from lantu.models.control import Control
from lantu.models.emu3 import weights
from lantu.models.emu3.folder import Emu3Folder
from lantu.models.emu3.layout import Emu3Layout
from lantu.models.published.parts import PublishedParts


@dataclass(frozen=True)
class Emu3Parts(PublishedParts):
    """Each part is loaded when it is first needed; see ``lantu.models.spec.Parts``.

    Raises:
        LantuError: another backend than the native one is asked for.
    """

    folder: Emu3Folder

    def __post_init__(self):
        if self.backend != "native":
            what = f"{self.backend} can't take Emu3's language model out of its directory"
            raise LantuError(what, "leave out --backend")

    @cached_property
    def layout(self) -> Emu3Layout:
        return Emu3Layout(self.folder, self.encode)

    @cached_property
    def language(self) -> Any:
        """On the native kernels on a CPU; on torch on a GPU, and for widths that the kernels don't take."""
        path, config = self.folder.path, self.folder.config
        names = (*weights.LANGUAGE, *weights.HEAD)
        return stock.load_part(path, config.sizes, names, lambda state: weights.language(state, config), self.device)

    @cached_property
    def vq(self) -> Any:
        """The VQ decoder and encoder."""
        from lantu.models.emu3.vision import Vq

        return Vq(self.folder.path, self.folder.config, self.device)

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8; neither seeds nor sampling parameters matter to a VQ decoder."""
        if control:
            self.refuse_control()
        return self.vq.decode(codes_Bhw)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → codes (B, h, w) int64."""
        return self.vq.encode(pictures)
