"""The parts of a Janus model: the language model by lantu's engine, pixels by transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from lantu import images
from lantu.engine.backends import stock
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import shortened
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError
from lantu.models.control import Control
from lantu.models.janus.folder import JanusFolder
from lantu.models.janus.layout import QUESTION, JanusLayout
from lantu.models.published.parts import PublishedParts
from lantu.types import Caption


@dataclass(frozen=True)
class JanusParts(PublishedParts):
    """Each part is loaded when it is first needed; see ``lantu.models.spec.Parts``.

    Raises:
        LantuError: another backend than the native one is asked for.
    """

    folder: JanusFolder

    reads_pixels = True

    def __post_init__(self):
        if self.backend != "native":
            what = f"{self.backend} can't draft with an embedding and a head of Janus's own"
            raise LantuError(what, "leave out --backend")

    @cached_property
    def layout(self) -> JanusLayout:
        return JanusLayout(self.folder, self.encode)

    @cached_property
    def language(self) -> Any:
        """On the native kernels on a CPU; on torch on a GPU, and for widths that the kernels don't take."""
        if self.device == "cpu" and stock.fits(self.folder.config.sizes):
            from lantu.models.janus import native

            return native.load(self.folder.path)
        from lantu.models.janus import pytorch

        return pytorch.load(self.folder.path, self.device)

    @cached_property
    def vq(self) -> Any:
        """The VQ decoder and encoder."""
        from lantu.models.janus.vision import Vq

        return Vq(self.folder.path, self.folder.config, self.device)

    @cached_property
    def reader(self) -> Any:
        """The tower that reads pictures."""
        from lantu.models.janus.vision import Reader

        return Reader(self.layout, self.language.vectors, self.device)

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """Codes → pictures (B, H, W, 3) uint8; neither seeds nor sampling parameters matter to a VQ decoder.

        Raises:
            DataError: the codes are not those of a grid of the model's size.
        """
        if control:
            self.refuse_control()
        self.check_grid(codes_Bhw, self.folder.grid)
        return images.to_bytes(self.vq.decode(codes_Bhw))

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → codes (B, h, w) int64."""
        return self.vq.encode(images.to_pixels(pictures))

    def read(
        self, pictures: np.ndarray, language: str, seed: int, temperature: float, most: int | None = None
    ) -> list[Caption]:
        """Captions of pictures (B, H, W, 3) uint8: the SigLIP tower reads them, the engine drafts the words."""
        prompts = [self.reader.prompt(Image.fromarray(each), QUESTION[language]) for each in pictures]
        requests = [shortened(self.layout.read(prompt, seed, temperature), most) for prompt in prompts]
        drafts = draft(Engine(self.language, cached_prefixes=0), requests)
        ends = [request.stop in ids for request, ids in zip(requests, drafts, strict=True)]
        return [Caption(self.layout.words(ids), ended) for ids, ended in zip(drafts, ends, strict=True)]
