"""A language model as a generator of pictures: its drafts, decoded by its tokenizer's plain decoder.

This needs no diffusion decoder, so language models are looked at in this way while they learn, and tokenizers are
compared.

Shapes: B pictures, H W pixels, h w grid.
"""

from dataclasses import dataclass

import numpy as np

from lantu import images
from lantu.engine.backends.native import Language
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.sampling_params import SamplingParams
from lantu.models.lantu.requests import drawing, reading
from lantu.recipes.codes import Tokenizer
from lantu.tasks.run import BATCH
from lantu.tokens import document
from lantu.tokens.bpe import TextCodec
from lantu.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class Drafts:
    """A generator of pictures for evaluation (``lantu.types.Generator``).

    Attributes:
        grid: height and width of its pictures, in codes.
        guidance_scales: guidance scales that the model has learnt to apply in one row.
    """

    language: Language
    text: TextCodec
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    grid: tuple[int, int]
    settings: SamplingParams
    guidance_scales: tuple[float, ...] = ()

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """(B, H, W, 3) uint8."""
        requests = [
            drawing(self.text.encode(prompt), self.grid, self.vocabulary, seed, self.settings, self.guidance_scales)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        drafts = draft(Engine(self.language, max_jobs=BATCH, cached_prefixes=0), requests)
        return self.paint(np.stack([document.codes_from(ids, *self.grid, self.vocabulary) for ids in drafts]))

    def reconstruct(self, images_BHWC: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → the same pictures through codes."""
        return self.paint(self.tokenizer.encode(images.to_tensor(images_BHWC)).numpy())

    def caption(self, images_BHWC: np.ndarray, language: str) -> list[str]:
        """The most likely caption of each picture."""
        codes_Bhw = self.tokenizer.encode(images.to_tensor(images_BHWC)).numpy()
        requests = [reading(codes, language, self.vocabulary) for codes in codes_Bhw]
        drafts = draft(Engine(self.language, max_jobs=BATCH, cached_prefixes=0), requests)
        return [self.text.decode(ids).strip() for ids in drafts]

    def paint(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → (B, H, W, 3) uint8."""
        return self.tokenizer.paint(codes_Bhw)


def paint(tokenizer: Tokenizer, codes_Bhw: np.ndarray) -> np.ndarray:
    """Codes → (B, H, W, 3) uint8, in one pass of the tokenizer's plain decoder."""
    return tokenizer.paint(codes_Bhw)
