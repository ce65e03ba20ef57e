"""A model as evaluation knows it: arrays in, arrays out."""

from typing import Any

import numpy as np

from lantu import images
from lantu.pipeline import Model


class ModelGenerator:
    """A model as evaluation knows it (``lantu.types.Generator``): arrays in, arrays out, many at a time."""

    def __init__(self, model: Model, **dials: Any):
        self.model, self.dials = model, dials

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        pictures = self.model.draw_all(prompts, seeds, batched=True, **self.dials)
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def caption(self, images: np.ndarray, language: str) -> list[str]:
        return self.model.read(self.encode(images), language)

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        grids = list(self.encode(images))
        settings = self.model.folder.settings.change(**self.dials)
        pictures = self.model.paint(grids, [""] * len(grids), [0] * len(grids), settings, batched=True)
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Codes at the model's own size, whatever size the pictures have."""
        from PIL import Image

        if pictures.shape[1:3] != self.model.size[::-1]:
            pictures = np.stack([np.asarray(images.fit(Image.fromarray(one), *self.model.size)) for one in pictures])
        return self.model.parts.encode(pictures)
