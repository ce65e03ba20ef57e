"""The codes of a data set under one tokenizer, made once and kept beside the data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lantu.data.codes import tokenize
from lantu.errors import RecipeError
from lantu.images import scale, to_tensor
from lantu.tokenizer.model import ImageTokenizer


def load_tokenizer(folder: str | Path) -> ImageTokenizer:
    """The tokenizer that a recipe names.

    Raises:
        RecipeError: it names none.
        ModelError: there is none.
    """
    if not str(folder):
        raise RecipeError("no image tokenizer to take codes from", "name its run: --tokenizer DIR")
    return ImageTokenizer.load(folder)


def encoder(tokenizer: ImageTokenizer) -> Callable[[np.ndarray], np.ndarray]:
    """(B, H, W, 3) uint8 → (B, h, w) codes, at the tokenizer's own size."""

    def encode(images: np.ndarray) -> np.ndarray:
        pixels = scale(to_tensor(images), tokenizer.config.size, tokenizer.config.size)
        with torch.inference_mode():
            return tokenizer.encode(pixels).numpy()

    return encode


def ensure_codes(
    data: str | Path, tokenizer: ImageTokenizer, progress: Callable[[int, int], None] | None = None
) -> str:
    """Make a data set's codes where they are missing; returns the name under which they are kept."""
    name = tokenizer.codes_digest()[:12]
    tokenize(data, encoder(tokenizer), name, progress=progress)
    return name
