"""The parts of a model that drafts by masked diffusion. Image tokenizer and decoder are those of lantu's own family."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from lantu.engine import masked_diffusion
from lantu.engine.drafting import MASK_ID, Drafter
from lantu.engine.masked_diffusion import MaskedDrafter, MaskedLanguage
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import AbilityError, LantuError
from lantu.models.lantu.layout import Example, LantuLayout
from lantu.models.lantu.parts import BATCH, LantuParts
from lantu.models.spec import Grid


class MaskedLayout(LantuLayout):
    """Prompts as lantu's own family writes them, without examples."""

    def example_ids(self, examples: Sequence[Example], language: str = "") -> list[int]:
        """Refuse examples.

        Raises:
            AbilityError: always.
        """
        raise AbilityError(f"{self.folder.name} can't draw by examples", "leave them out", "examples")

    def fill(
        self, prompt: str, codes_hw: np.ndarray, holes_hw: np.ndarray, seed: int, params: SamplingParams
    ) -> Request:
        """The request for the holes of a picture, drafted around its other codes (as arXiv:2202.04200 edits)."""
        ids = self.parts.vocabulary.codes_to_ids(codes_hw.flatten()).tolist()
        given = tuple(MASK_ID if hole else id_ for id_, hole in zip(ids, holes_hw.flatten().tolist(), strict=True))
        return replace(self.draw(prompt, given_grid(holes_hw), seed, params), given=given)

    def fill_codes(self, codes_hw: np.ndarray, holes_hw: np.ndarray, ids: Sequence[int]) -> np.ndarray:
        """The codes (h, w) of a draft so far, which has all of them; MASK_CODE where one is still missing."""
        return self.codes(ids, given_grid(holes_hw))


def given_grid(holes_hw: np.ndarray) -> Grid:
    """Height and width of a grid of holes."""
    return holes_hw.shape[0], holes_hw.shape[1]


class MaskedParts(LantuParts):
    """See ``LantuParts``; the drafter is ``lantu.engine.masked_diffusion``."""

    @cached_property
    def layout(self) -> LantuLayout:
        """Prompts and codes as ids."""
        return MaskedLayout(self)

    @cached_property
    def language(self) -> MaskedLanguage:
        """The masked language model, on the kernels on a CPU and on torch on a GPU.

        Raises:
            LantuError: a backend of next-token models was asked for.
        """
        if self.backend != "native":
            raise LantuError(f"{self.backend} can't run a masked language model", "choose the backend native")
        folder = self.folder.path / "language"
        if self.device == "cpu":
            from lantu.models.masked.native import MaskedLanguage as NativeLanguage

            return NativeLanguage.load(folder)
        from lantu.models.masked.network import MaskedTransformer

        return MaskedTransformer.load(folder, self.device)

    @cached_property
    def drafter(self) -> Drafter:
        """Drafts requests together only where that changes nothing."""
        return MaskedDrafter(self.language)

    @cached_property
    def batched_drafter(self) -> Drafter:
        """Drafts many requests together even where that rounds sums in another order."""
        return self.drafter if self.drafter.exact else MaskedDrafter(self.language, max_drafts=BATCH)

    def check(self, request: Request) -> None:
        """Refuse what masked diffusion can't draft.

        Raises:
            LantuError: it can't draft this.
        """
        try:
            masked_diffusion.check(request)
        except ValueError as problem:
            raise LantuError(str(problem), "draw with a next-token model") from problem
