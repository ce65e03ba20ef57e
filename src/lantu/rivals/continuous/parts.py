"""The parts of a continuous model: language model and engine of lantu's own, a head for vectors, and what renders them.

Shapes: B batch, H W pixels, h w grid, T = B·h·w, E numbers of a vector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lantu import images
from lantu.engine import masked_diffusion
from lantu.engine.drafting import MASK_ID, Drafter, draft
from lantu.engine.engine import Engine
from lantu.engine.request import Request, shortened
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import AbilityError, LantuError
from lantu.kernels import blocks
from lantu.models.control import Control
from lantu.models.lantu.layout import Example, LantuLayout
from lantu.models.lantu.parts import BATCH, LantuParts
from lantu.models.lantu.requests import MAX_CAPTION
from lantu.models.memory import Stage
from lantu.models.spec import Grid
from lantu.rivals.continuous import rendering
from lantu.rivals.continuous.backend import VectorBackend
from lantu.rivals.continuous.drafter import RandomOrderDrafter
from lantu.rivals.continuous.folder import ContinuousFolder
from lantu.rivals.continuous.levels import Levels
from lantu.tokens import document, grammar
from lantu.tokens.repetition import without_repeats
from lantu.types import MASK_CODE, Caption


class ContinuousLayout(LantuLayout):
    """Prompts as lantu's own family writes them, without examples; a drafted id is a tuple of levels."""

    def codes(self, ids: Sequence[Any], grid: Grid) -> np.ndarray:
        """Drafted vectors → levels (h, w, E) int64; MASK_CODE where one is still missing."""
        levels_TE = np.full((grid[0] * grid[1], *self.folder.cell_shape), MASK_CODE, np.int64)
        for place, levels in enumerate(ids):
            levels_TE[place] = levels  # MASK_ID is the same number
        return levels_TE.reshape(*grid, -1)

    def draw(self, prompt: str, grid: Grid, seed: int, params: SamplingParams, *others: Any, **context: Any) -> Request:
        """The request for one picture.

        Raises:
            LantuError: a parameter means nothing to the model.
        """
        for name in self.folder.unused_params:
            if getattr(params, name) != getattr(self.folder.settings, name):
                raise LantuError(f"{name} means nothing to {self.folder.name}, which drafts vectors", "leave it out")
        return super().draw(prompt, grid, seed, params, *others, **context)

    def example_ids(self, examples: Sequence[Example], language: str = "") -> list[int]:
        """Raises AbilityError, always."""
        raise AbilityError(f"{self.folder.name} can't draw by examples", "leave them out", "examples")


class ShuffledLayout(ContinuousLayout):
    """As above, for drafts in random order, which also fill holes."""

    def fill(
        self, prompt: str, codes_hw: np.ndarray, holes_hw: np.ndarray, seed: int, params: SamplingParams
    ) -> Request:
        """The request for the holes of a picture of levels (h, w, E), drafted around its other vectors."""
        (height, width), levels_nE = holes_hw.shape, codes_hw.reshape(holes_hw.size, -1).tolist()
        cells = zip(levels_nE, holes_hw.flatten().tolist(), strict=True)
        given = tuple(MASK_ID if hole else tuple(levels) for levels, hole in cells)
        return replace(self.draw(prompt, (height, width), seed, params), given=given)

    def fill_codes(self, codes_hw: np.ndarray, holes_hw: np.ndarray, ids: Sequence[Any]) -> np.ndarray:
        """The levels (h, w, E) of a draft so far, which has all of them."""
        height, width = holes_hw.shape
        return self.codes(ids, (height, width))


class ContinuousParts(LantuParts):
    """See ``LantuParts``."""

    folder: ContinuousFolder  # pyrefly: ignore[bad-override]

    reads_pixels = True
    previews = True
    freed: ClassVar[Mapping[Stage, tuple[str, ...]]] = {
        **LantuParts.freed,
        "drafting": (*LantuParts.freed["drafting"], "head", "vector_backend"),
    }
    pretrained = False

    @cached_property
    def layout(self) -> LantuLayout:
        """Prompts as ids, drafts as levels."""
        return ShuffledLayout(self) if self.folder.shuffles else ContinuousLayout(self)

    @cached_property
    def language(self) -> Any:
        """The language model. Raises LantuError where another backend than lantu's own was asked for."""
        if self.backend != "native":
            raise LantuError(f"{self.backend} can't draft vectors", "choose the backend native")
        if not self.folder.shuffles:
            return super().language
        folder = self.folder.path / "language"
        if self.device == "cpu":
            from lantu.rivals.continuous.bidirectional_native import MaskedVectorLanguage

            return MaskedVectorLanguage.load(folder)
        from lantu.rivals.continuous.bidirectional import MaskedVectorTransformer

        return MaskedVectorTransformer.load(folder, self.device)

    @cached_property
    def head(self) -> Any:
        """Vectors into the language model and out of it: a ``backend.Head``."""
        folder = self.folder.path / "vectors"
        if self.device == "cpu" and (self.folder.shuffles or hasattr(self.language, "text")):
            from lantu.rivals.continuous.native import NativeVectors

            if self.folder.shuffles:
                return NativeVectors.load(folder, self.language.norm_D, blocks.EPS)
            return NativeVectors.load(folder, self.language.text.norm_D, self.language.text.eps)
        from lantu.rivals.continuous.network import Vectors

        return Vectors.load(folder).to(self.device)

    @cached_property
    def levels(self) -> Levels:
        """The levels of its vectors."""
        return Levels(float(self.folder.entry("vectors/config.json", "reach")), self.folder.codebook_size)

    @cached_property
    def scaling(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale (E,) of the vectors."""
        from lantu.kernels import to_float
        from lantu.weights import manifest

        state = manifest.read_arrays("vectors", self.folder.path / "vectors")[1]
        return to_float(state["mean"]), to_float(state["scale"])

    @cached_property
    def vector_backend(self) -> VectorBackend:
        """What the engine drafts vectors with."""
        return VectorBackend(self.language, self.head, self.levels, self.noises, self.folder.cell_shape[0])

    @property
    def noises(self) -> int:
        """Noise vectors that the head takes for one vector."""
        return self.folder.entry("vectors/config.json", "steps") if self.folder.diffuses else 1

    @cached_property
    def drafter(self) -> Drafter:
        """Drafts requests together only where that changes nothing."""
        return self.shuffled() if self.folder.shuffles else Engine(self.vector_backend)

    @cached_property
    def batched_drafter(self) -> Drafter:
        """Drafts many requests together even where that rounds sums in another order."""
        if self.drafter.exact:
            return self.drafter
        return self.shuffled(BATCH) if self.folder.shuffles else Engine(self.vector_backend, max_jobs=BATCH)

    def shuffled(self, max_drafts: int | None = None) -> RandomOrderDrafter:
        """Drafts vectors in random order."""
        how = self.head, self.levels, self.noises, self.folder.cell_shape[0], max_drafts
        return RandomOrderDrafter(self.language, *how)

    @cached_property
    def decoder(self) -> Any:
        """The denoiser of the diffusion decoder: a ``rendering.VectorDenoiser``."""
        folder = self.folder.path / "decoder"
        if self.device == "cpu":
            return rendering.NativeVectorDenoiser.load(folder)
        from lantu.rivals.continuous.decoder import TorchVectorDenoiser

        return TorchVectorDenoiser.load(folder, self.device)

    def render(
        self,
        codes_Bhw: np.ndarray,
        seeds: Sequence[int],
        params: SamplingParams,
        control: Control | None = None,
        prompts: Sequence[str] = (),
    ) -> np.ndarray:
        """Levels (B, h, w, E) → pictures (B, H, W, 3) uint8."""
        known_Bhw, vectors_BhwE = codes_Bhw[..., 0] >= 0, self.levels.vectors(codes_Bhw)
        if self.folder.paints:
            mean_E, scale_E = self.scaling
            return images.to_bytes(rendering.paint(mean_E + scale_E * vectors_BhwE, known_Bhw, self.folder.patch))
        return images.to_bytes(rendering.render(self.decoder, vectors_BhwE, known_Bhw, seeds, params))

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → levels (B, h, w, E) int64; H and W are multiples of the model's patch."""
        grid = (side // self.folder.patch for side in pictures.shape[1:3])
        if self.folder.paints:
            vectors_TE = blocks.to_patches(images.to_pixels(pictures), self.folder.patch)
        elif self.folder.space == "vision":
            vectors_TE = self.seen(pictures)
        else:
            vectors_TE = self.encoder.vectors_of(self.scaled(pictures))
        mean_E, scale_E = self.scaling
        return self.levels.of((vectors_TE - mean_E) / scale_E).reshape(len(pictures), *grid, -1)

    @cached_property
    def encoder(self) -> Any:
        """The image tokenizer's encoder, before quantisation."""
        from lantu.models.lantu.tokenizer.native import NativeEncoder

        return NativeEncoder.load(self.folder.path / "tokenizer")

    def seen(self, pictures: np.ndarray) -> np.ndarray:
        """Embeddings (T, E) by the vision encoder."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(images.to_pixels(pictures), np.float32))
        return self.vision(pixels.to(self.device)).flatten(0, 1).cpu().numpy()

    @cached_property
    def vision(self) -> Any:
        """The vision encoder, on torch."""
        from lantu.rivals.continuous.vision import VisionEncoder

        return VisionEncoder.load(self.folder.path / "vision").to(self.device)

    def distances(self, pictures: np.ndarray) -> None:
        """None: there is no codebook."""

    def read(
        self, pictures: np.ndarray, language: str, seed: int, temperature: float, most: int | None = None
    ) -> list[Caption]:
        """Captions of pictures (B, H, W, 3) uint8: the language model reads their vectors, and drafts the words."""
        vocabulary, prompts = self.vocabulary, []
        for levels_hwE in self.encode(pictures):
            height, width = levels_hwE.shape[:2]
            start = [vocabulary.special("bos"), *document.picture_start(height, width, vocabulary)]
            end = [vocabulary.special("eoi"), vocabulary.special(language)]
            vectors_TE = self.levels.vectors(levels_hwE.reshape(-1, levels_hwE.shape[-1]))
            parts = self.language.vectors(start), self.head.embed(vectors_TE), self.language.vectors(end)
            prompts.append(np.concatenate(parts))
        how: dict[str, Any] = {"limit": MAX_CAPTION, "stop": vocabulary.special("eos"), "temperature": temperature}
        requests = [shortened(Request(each, grammar.text(vocabulary), seed=seed, **how), most) for each in prompts]
        drafts = draft(Engine(self.language, cached_prefixes=0), requests)
        return [Caption(without_repeats(self.layout.words(ids)), how["stop"] in ids) for ids in drafts]

    def check(self, request: Request) -> None:
        """Refuse what vectors can't be drafted by.

        Raises:
            LantuError: there is a bias of codes, or, in random order, ids that depend on one another.
        """
        if request.bias:
            raise LantuError(f"{self.folder.name} can't be steered by a bias of codes", "leave out the control")
        if self.folder.shuffles:
            try:
                masked_diffusion.check(request)
            except ValueError as problem:
                raise LantuError(str(problem), "draw with a next-token model") from problem

    def check_control(self, control: Control, grid: Grid) -> None:
        """Raises AbilityError: nothing here follows a picture."""
        raise AbilityError(f"{self.folder.name} can't be controlled by a picture", "leave out the control", "control")
