"""How a latent diffusion model writes a drawing: the prompt's ids for the text encoder, and as many codes as its latent
has numbers. Shapes: h w grid of codes, N tokens of a prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lantu.engine.drafting import MASK_ID
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError, PromptError
from lantu.models.published.layout import PublishedLayout
from lantu.models.published.text import Text
from lantu.models.spec import Grid
from lantu.models.validation import check_prompt
from lantu.rivals.latent_diffusion.folder import LatentDiffusionFolder
from lantu.tokens.words import Lexicon
from lantu.types import MASK_CODE, UnknownWord


@dataclass(frozen=True)
class DenoisingRequest(Request):
    """A picture to be denoised.

    Attributes:
        steps: of the sampler.
        grid: height and width in codes.
        known: (h, w) codes of a picture of which only some cells are redrawn; None to draw all.
        holes: (h, w) bool, those cells.
    """

    steps: int = 50
    grid: Grid = (1, 1)
    known: np.ndarray | None = field(default=None, compare=False)
    holes: np.ndarray | None = field(default=None, compare=False)


class LatentDiffusionLayout(PublishedLayout):
    """See ``lantu.models.spec.Layout``."""

    folder: Any  # LatentDiffusionFolder

    def __init__(self, folder: LatentDiffusionFolder, text: Text, encode: Callable[[np.ndarray], np.ndarray]):
        super().__init__(folder, text, encode)
        self.longest = int(folder.read("text_encoder/config.json").get("max_position_embeddings", 77))

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """The words that the model was taught; None if its directory has no word list."""
        return Lexicon.load(self.folder.path)

    def unknown_words(self, prompt: str) -> tuple[UnknownWord, ...]:
        """Words of a prompt that the model was never taught."""
        return self.lexicon.unknown(prompt) if self.lexicon and prompt.strip() else ()

    def warnings(self, prompt: str, draws: bool = True) -> list[str]:
        """What to know of a prompt, a sentence each."""
        return self.lexicon.warnings(prompt, draws) if self.lexicon and prompt.strip() else []

    def padded(self, prompt: str) -> list[int]:
        """The ids of a prompt, padded as the pipeline pads them.

        Raises:
            PromptError: it is too long.
            ModelError: the tokenizer has no padding token.
        """
        ids, pad = self.text.encode(prompt), self.text.tokenizer.pad_token_id
        if len(ids) > self.longest:
            raise PromptError(f"the text encoder reads {self.longest} tokens, the prompt has {len(ids)}", "shorten it")
        if pad is None:
            raise ModelError(f"the tokenizer in {self.text.folder} has no padding token", "fetch it again")
        return [*ids, *[pad] * (self.longest - len(ids))]

    def draw(
        self,
        prompt: str,
        grid: Grid,
        seed: int,
        params: SamplingParams,
        control: ControlLogitsProcessor | None = None,
        **more: Any,
    ) -> DenoisingRequest:
        """The request for one picture.

        Args:
            more: other fields of the request.
        """
        self.check_params(params)
        prompt = check_prompt(prompt)
        expanded = prompt if prompt.isascii() or not self.lexicon else self.lexicon.expand(prompt) or prompt
        return DenoisingRequest(
            self.padded(expanded),
            (range(self.folder.codebook_size),),
            limit=grid[0] * grid[1],
            seed=seed,
            unconditional=self.padded(""),
            guidance=params.guidance,
            steps=params.steps,
            grid=grid,
            **more,
        )

    def fill(
        self, prompt: str, codes_hw: np.ndarray, holes_hw: np.ndarray, seed: int, params: SamplingParams
    ) -> DenoisingRequest:
        """The request for some cells of a picture: all is denoised, and what is known put back after each step."""
        grid = codes_hw.shape[0], codes_hw.shape[1]
        return self.draw(prompt, grid, seed, params, known=codes_hw, holes=holes_hw)

    def codes(self, ids: Sequence[int], grid: Grid) -> np.ndarray:
        """Ids of a draft → (h, w) int64: its newest estimate; MASK_CODE before the first step.

        All numbers of a latent are refined together, so a draft has an estimate of each long before it is final: see
        ``denoising.marked``.
        """
        found = np.asarray(ids, np.int64)
        estimate = np.where(found < MASK_ID, MASK_ID - 1 - found, found)
        return np.where(found == MASK_ID, MASK_CODE, estimate).reshape(grid)

    def fill_codes(self, codes_hw: np.ndarray, holes_hw: np.ndarray, ids: Sequence[int]) -> np.ndarray:
        """Codes (h, w) with what was drafted at the positions that the holes touch."""
        latent = self.folder.latent_codes
        redrawn_hw = latent.cells(latent.positions(holes_hw))
        return np.where(redrawn_hw, self.codes(ids, (codes_hw.shape[0], codes_hw.shape[1])), codes_hw)
