"""The parts of a model of lantu's own family: native kernels on a CPU, torch on a GPU.

transformers or vLLM can run the language model too, from its unmodified directory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu import images, kernels
from lantu.diffusion.decoder import DiffusionDecoder
from lantu.diffusion.sample import Start, sample
from lantu.engine.backends import stock
from lantu.engine.drafting import Drafter
from lantu.engine.engine import Engine
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ImageError, LantuError
from lantu.models.control import Control
from lantu.models.lantu import components
from lantu.models.lantu.agreement import check_refiner
from lantu.models.lantu.components import Encoder, Upscaler
from lantu.models.lantu.controls import KINDS
from lantu.models.lantu.directory import MEMORY, REFINER, UPSCALER
from lantu.models.lantu.folder import LantuFolder
from lantu.models.lantu.layout import LantuLayout
from lantu.models.memory import Sparing
from lantu.models.spec import Grid
from lantu.models.validation import as_drawn
from lantu.tokens import bpe
from lantu.tokens.bpe import TextCodec
from lantu.tokens.vocabulary import Vocabulary
from lantu.types import Caption
from lantu.weights import manifest
from lantu.weights.text_codec import read_codec

if TYPE_CHECKING:
    from lantu.data.memory_bank import MemoryBank

PREVIEWED = 50_000_000  # parameters of the largest pretrained decoder that previews on a CPU
BATCH = 32  # requests that the batched drafter drafts together


@dataclass(frozen=True)
class LantuParts(Sparing):
    """Each part is loaded when it is first needed; see ``lantu.models.spec.Parts``.

    Attributes:
        device: "cpu" or "cuda".
        backend: what runs the language model, one of ``lantu.models.loader.BACKENDS``.
    """

    folder: LantuFolder
    device: str = "cpu"
    backend: str = "native"

    reads_pixels = False

    @cached_property
    def previews(self) -> bool:
        """Decoders are trained on grids whose last codes are missing; large ones take too long for it on a CPU."""
        small = not self.pretrained or self.folder.parameters()["decoder"] < PREVIEWED
        return small or self.device != "cpu"

    @cached_property
    def pretrained(self) -> bool:
        """Whether the decoder is a pretrained diffusion model, which torch runs."""
        return components.is_pretrained(self.folder.path / "decoder")

    @cached_property
    def layout(self) -> LantuLayout:
        """Turns text and pictures into requests."""
        return LantuLayout(self)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The ids of the language model."""
        from lantu.weights.language_config import read_vocabulary

        return read_vocabulary(self.folder.path / "language")

    @cached_property
    def guidance_scales(self) -> tuple[float, ...]:
        """Guidance scales that the language model applies without an unconditional row."""
        from lantu.weights.language_config import read_guidance_scales

        return read_guidance_scales(self.folder.path / "language")

    @cached_property
    def text(self) -> TextCodec:
        """The text tokenizer, checked against the vocabulary."""
        codec = read_codec(self.folder.path / "language")
        bpe.check(codec, self.vocabulary)
        return codec

    @cached_property
    def drafter(self) -> Drafter:
        """Batches requests only where that is exact; vLLM decides for itself."""
        if self.backend == "vllm":
            from lantu.engine.backends.vllm_engine import Engine as EngineOnVllm

            manifest.read_language(self.folder.path / "language")
            return EngineOnVllm(self.folder.path / "language")
        return Engine(self.language)

    def check(self, request: Request) -> None:
        """Refuse a request that the backend can't draft, before it is loaded.

        Raises:
            LantuError: it can't.
        """
        if request.passes:
            what = f"{self.folder.name} drafts code by code, not in so many passes"
            raise LantuError(what, "leave out passes")
        if self.backend == "vllm":
            from lantu.engine.backends.vllm_engine import check

            check(request)

    @cached_property
    def batched_drafter(self) -> Drafter:
        """Batches requests even where that reorders floating-point sums."""
        if self.drafter.exact or self.backend == "vllm":
            return self.drafter
        return Engine(self.language, max_jobs=BATCH)

    @property
    def exact(self) -> bool:
        """Whether pictures rendered together are bit for bit those rendered alone."""
        return self.device == "cpu" and kernels.exact() and not self.pretrained

    @cached_property
    def language(self) -> Any:
        """The language model on the chosen backend."""
        return stock.load(self.folder.path / "language", self.device, self.backend)

    @cached_property
    def decoder(self) -> DiffusionDecoder:
        """The diffusion decoder."""
        return components.load_decoder(self.folder.path / "decoder", self.device)

    @cached_property
    def control(self) -> Any:
        """Turns a picture of control into residuals for the decoder and a bias for the draft: ``ControlBackend``.

        That of a pretrained decoder is a ``PretrainedControl``, which steers it and has no bias.

        Raises:
            LantuError: the model has none.
        """
        if not self.folder.controlled:
            raise LantuError(f"{self.folder.name} can't be controlled by a picture", "train one: lantu train control")
        return components.load_control(self.folder.path / "control", self.device)

    @cached_property
    def upscaler(self) -> Upscaler:
        """Enlarges what the decoder has painted."""
        return components.load_upscaler(self.folder.path / UPSCALER, self.device)

    @cached_property
    def refiner(self) -> DiffusionDecoder:
        """The pretrained decoder of a second pass."""
        return components.load_decoder(self.folder.path / REFINER, self.device)

    @cached_property
    def memory_bank(self) -> "MemoryBank":
        """The pictures that can be found for a prompt. Raises ModelError where they are damaged."""
        from lantu.data.memory_bank import MemoryBank

        return MemoryBank.load(self.folder.path / MEMORY)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the image tokenizer."""
        return components.load_encoder(self.folder.path / "tokenizer", self.device)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → codes (B, h, w) int64; H and W are multiples of the model's patch."""
        return self.encoder.encode(self.scaled(pictures))

    def distances(self, pictures: np.ndarray) -> np.ndarray | None:
        """Pictures → squared distances of cells to code vectors, (B, N, K); None where codes are a lattice."""
        return self.encoder.distances(self.scaled(pictures))

    def read(
        self, pictures: np.ndarray, language: str, seed: int, temperature: float, most: int | None = None
    ) -> list[Caption]:
        """Captions are drafted from codes: see ``lantu.tasks.caption``."""
        raise NotImplementedError

    def scaled(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures as the image tokenizer reads them, (B, 3, H, W) in [-1, 1]."""
        patch = self.folder.entry("tokenizer/config.json", "patch")
        height, width = (side // self.folder.patch * patch for side in pictures.shape[1:3])
        return images.average(images.to_pixels(pictures), height, width)

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
            codes_Bhw: MASK_CODE where a code is not known.
            control: a picture that all of them follow.
        """
        check_refiner(self.folder, params)
        decoder, residuals = self.decoder, None
        if control and control.scale and hasattr(self.control, "steer"):
            decoder = self.control.steer(decoder, self.control_pixels(control)[0], control.kind, control.scale)
        elif control and control.scale:
            residuals = self.control_residuals(control, codes_Bhw)
        how = (params.steps, params.render_guidance, params.sampler)
        pixels_BCHW = sample(decoder, codes_Bhw, list(seeds), *how, control_residuals_2BND=residuals)
        pixels_BCHW = self.refine(pixels_BCHW, codes_Bhw, seeds, params) if params.refine else pixels_BCHW
        return images.to_bytes(self.upscaler(pixels_BCHW) if self.folder.upscaled else pixels_BCHW)

    def refine(
        self, pixels_BCHW: np.ndarray, codes_Bhw: np.ndarray, seeds: Sequence[int], params: SamplingParams
    ) -> np.ndarray:
        """A second pass of the refiner over pictures in [-1, 1], one by one, so that none depends on the others."""
        how = (params.refine_steps, params.render_guidance)
        refined = [
            sample(self.refiner, codes[None], [seed], *how, start=Start(pixels[None], params.refine))
            for pixels, codes, seed in zip(pixels_BCHW, codes_Bhw, seeds, strict=True)
        ]
        return np.concatenate(refined)

    def control_residuals(self, control: Control, codes_Bhw: np.ndarray) -> np.ndarray:
        """The residuals that a control adds to the decoder's tokens, (2, B, N, D)."""
        pixels_1CHW, kind = self.control_pixels(control)
        residuals_2BND = self.control(np.repeat(pixels_1CHW, len(codes_Bhw), 0), kind, codes_Bhw)
        return np.float32(control.scale) * residuals_2BND

    def control_processor(self, control: Control, grid: Grid) -> ControlLogitsProcessor | None:
        """Adds a control's bias to the logits of each code of a draft; None where its kind has no bias.

        Raises:
            LantuError, ImageError: see ``check_control``.
        """
        self.check_control(control, grid)
        pixels_1CHW, kind = self.control_pixels(control)
        if not control.scale or hasattr(self.control, "steer") or not self.control.strengths[kind]:
            return None

        def bias_of_row(codes_hw: np.ndarray, row: int) -> np.ndarray:
            return np.float32(control.scale) * self.control.bias(pixels_1CHW, kind, codes_hw[None], row)[0]

        return ControlLogitsProcessor(bias_of_row, grid, self.vocabulary.ids_to_codes)

    def check_control(self, control: Control, grid: Grid) -> None:
        """Refuse a control that the model can't follow.

        Raises:
            LantuError: the model has no control network, or the kind is unknown.
            ImageError: the picture of control is of another size.
        """
        if control.kind not in KINDS:
            raise LantuError(f"no control by {control.kind}", f"choose {', '.join(KINDS[:-1])} or {KINDS[-1]}")
        if as_drawn(control.picture, self.layout).size != self.layout.size_of(grid):
            what = "{}x{} pixels, the drawing {}x{}".format(*control.picture.size, *self.layout.size_of(grid))
            raise ImageError(f"the control has {what}", "scale it, or have it scaled and cropped with --fit")
        if hasattr(self.control, "steer"):  # raises if the model has none
            self.control.check(control.kind)

    def control_pixels(self, control: Control) -> tuple[np.ndarray, int]:
        """A picture of control (1, C, H, W) in [-1, 1], as large as the decoder paints, and the number of its kind."""
        picture = as_drawn(control.picture, self.layout)
        pixels_1CHW, factor = images.to_pixels(np.asarray(picture)[None]), self.folder.factor
        height, width = picture.height // factor, picture.width // factor
        if control.kind == "edges":  # lines stay as bright as they are: averaged, those of one pixel turn grey
            small_1CHW = pixels_1CHW.reshape(1, -1, height, factor, width, factor).max((3, 5))
        else:
            small_1CHW = images.average(pixels_1CHW, height, width)
        return small_1CHW, KINDS.index(control.kind)
