"""A model as evaluation knows it: arrays in, arrays out."""

from typing import Any

import numpy as np

from lantu import images
from lantu.pipeline import Model
from lantu.tasks.captioning import denoised


class ModelGenerator:
    """A model as evaluation knows it (``lantu.types.Generator``): arrays in, arrays out, many at a time."""

    def __init__(self, model: Model, **dials: Any):
        self.model, self.dials = model, dials

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        pictures = self.model.draw_all(prompts, seeds, batched=True, **self.dials)
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def caption(self, images: np.ndarray, language: str) -> list[str]:
        return self.model.read(denoised(self.model.parts, self.sized(images)), language)

    def caption_drawn(self, prompts: list[str], seeds: list[int], language: str) -> list[str]:
        pictures = self.model.draw_all(prompts, seeds, batched=True, **self.dials)
        return self.model.read(np.stack([picture.codes for picture in pictures]), language)

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        grids = list(self.encode(images))
        settings = self.model.folder.settings.change(**self.dials)
        pictures = self.model.paint(grids, [""] * len(grids), [0] * len(grids), settings, batched=True)
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Codes at the model's own size, whatever size the pictures have."""
        return self.model.parts.encode(self.sized(pictures))

    def sized(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures at the model's own size."""
        from PIL import Image

        if pictures.shape[1:3] == self.model.size[::-1]:
            return pictures
        return np.stack([np.asarray(images.fit(Image.fromarray(one), *self.model.size)) for one in pictures])
