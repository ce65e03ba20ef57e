"""The parts of a described model: the language model by lantu's engine, pixels by what the layout file names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lantu.engine.backends import stock
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import DataError, LantuError, ModelError
from lantu.models.control import Control
from lantu.models.memory import Sparing, Stage
from lantu.models.plain.decoders import KINDS, NOT_FOLLOWED, Renderer
from lantu.models.plain.description import FILE
from lantu.models.plain.folder import PlainFolder
from lantu.models.plain.layout import PlainLayout
from lantu.models.published.parts import PublishedParts
from lantu.weights.architecture import Sizes, is_plain


@dataclass(frozen=True)
class PlainParts(PublishedParts):
    """Each part is loaded when it is first needed; see ``lantu.models.spec.Parts``.

    Raises:
        LantuError: vLLM is asked for.
    """

    folder: PlainFolder

    freed: ClassVar[Mapping[Stage, tuple[str, ...]]] = {**Sparing.freed, "rendering": ("renderer",)}

    def __post_init__(self):
        if self.backend == "vllm":
            raise LantuError("vLLM can't draft with guidance by a pair of rows", "choose another backend")

    @property
    def previews(self) -> bool:  # pyrefly: ignore[bad-override]
        """Whether the decoder renders grids with missing codes."""
        entry = self.folder.description.decoder
        return entry is not None and entry.kind in NOT_FOLLOWED and self.renderer.partial

    @cached_property
    def layout(self) -> PlainLayout:
        return PlainLayout(self.folder)

    @cached_property
    def language(self) -> Any:
        """On the native kernels on a CPU, on torch on a GPU; by transformers what they don't know."""
        path, config = self.folder.language, self.folder.config
        if self.backend == "transformers" or not is_plain(config):
            from lantu.engine.backends import huggingface

            return huggingface.Language.load(path, self.device)
        if self.device == "cpu" and stock.fits(Sizes.of(config)):
            from lantu.engine.backends import native

            return native.Language.load(path)
        from lantu.engine.backends import pytorch

        return pytorch.Language.load(path, None, self.device)

    @cached_property
    def renderer(self) -> Renderer:
        """What renders. Raises ModelError where it is missing or damaged, or made for other codes."""
        entry, folder = self.folder.description.decoder, self.folder.decoder
        if entry is None or folder is None:
            raise ModelError(f"{FILE} names no decoder", "docs/families.md")
        made, (patch, size) = KINDS[entry.kind](folder, self.device), (self.folder.patch, self.folder.codebook_size)
        made.patch = made.patch or patch
        if (made.patch, made.codebook_size) != (patch, size):
            what = f"the decoder in {folder} has {made.codebook_size} codes of {made.patch} pixels a side"
            raise ModelError(what, f"{FILE} says {size} and {patch}: correct it, or give the model's own decoder")
        return made

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8.

        Raises:
            DataError: the model draws no such grid.
        """
        if control:
            self.refuse_control()
        if not self.folder.description.grids.has(grid := codes_Bhw.shape[1:]):
            what = "the model draws no grid of {}x{} codes".format(*grid[::-1])
            raise DataError(what, "give the codes of a picture made by this model")
        return self.renderer.paint(codes_Bhw, seeds, params)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Raises AbilityError: only the decoder is known."""
        return self.layout.encode_nothing(pictures)
