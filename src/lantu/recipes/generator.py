"""A model as a generator for evaluation: arrays in, arrays out."""

from typing import Unpack

import numpy as np

from lantu import images
from lantu.engine.sampling_params import Overrides
from lantu.pipeline import Model
from lantu.tasks import caption
from lantu.tasks.draw import render
from lantu.tasks.run import run
from lantu.types import MASK_CODE


class ModelGenerator:
    """A model as a generator (``lantu.types.Generator``): arrays in, arrays out, many at a time."""

    def __init__(self, model: Model, **overrides: Unpack[Overrides]):
        self.model, self.overrides = model, overrides

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """A picture for each prompt, (B, H, W, 3) uint8."""
        pictures = self.model.draw_all(prompts, seeds, batched=True, **self.overrides)
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def caption(self, images: np.ndarray, language: str) -> list[str]:
        """A caption of each picture, (B, H, W, 3) uint8."""
        parts = self.model.parts
        return list(run(parts, [caption.caption(parts, one, language) for one in self.sized(images)], batched=True))

    def caption_drawn(self, prompts: list[str], seeds: list[int], language: str) -> list[str]:
        """Captions of the model's own drawings of some prompts, from their codes."""
        pictures = self.model.draw_all(prompts, seeds, batched=True, **self.overrides)
        parts = self.model.parts
        return list(run(parts, [caption.caption_codes(parts, one.codes, language) for one in pictures], batched=True))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Pictures through codes: (B, H, W, 3) uint8 twice."""
        grids = list(self.encode(images))
        parts, params = self.model.parts, self.model.folder.settings.change(**self.overrides)
        for grid in grids if params.num_codes else ():  # through the first codes alone
            grid.reshape(-1)[params.num_codes :] = MASK_CODE
        pictures = run(parts, [render(parts, grid, 0, params) for grid in grids], batched=True)
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Codes at the model's own size; pictures of other sizes are fitted."""
        return self.model.parts.encode(self.sized(pictures))

    def sized(self, pictures: np.ndarray) -> np.ndarray:
        """The pictures fitted to the model's own size."""
        from PIL import Image

        if pictures.shape[1:3] == self.model.size[::-1]:
            return pictures
        return np.stack([np.asarray(images.fit(Image.fromarray(one), *self.model.size)) for one in pictures])
