"""A model whose drawings and captions are kept on disk, so that a score goes on where it was stopped.

Shapes: B pictures, H W pixels.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu.errors import PromptError
from lantu.files import write_json
from lantu.pipeline import Model
from lantu.recipes.generator import ModelGenerator
from lantu.recipes.sheets import save_png
from lantu.types import Caption


class KeptGenerator(ModelGenerator):
    """``ModelGenerator`` that asks the model for nothing twice.

    Args:
        folder: where drawings and captions lie; of this model alone.
    """

    def __init__(self, model: Model, folder: Path):
        super().__init__(model)
        self.folder = folder / model.digest
        self.folder.mkdir(parents=True, exist_ok=True)

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """A picture for each prompt, (B, H, W, 3) uint8."""
        files = [self.drawing(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        if missing := [place for place, file in enumerate(files) if not file.is_file()]:
            made = self.drawn([prompts[i] for i in missing], [seeds[i] for i in missing])
            for place, picture in zip(missing, made, strict=True):
                save_png(files[place], picture)
        return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])

    def drawn(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """New drawings; of a prompt that the model can't read, as it is too long for it, a white picture."""
        try:
            return super().draw(prompts, seeds)
        except PromptError:
            if len(prompts) > 1:
                return np.concatenate([self.drawn([one], [seed]) for one, seed in zip(prompts, seeds, strict=True)])
            width, height = self.model.size
            return np.full((1, height, width, 3), 255, np.uint8)

    def drawing(self, prompt: str, seed: int) -> Path:
        """The file of a drawing."""
        return self.folder / f"{digest(prompt, seed)}.png"

    def caption(self, images: np.ndarray, language: str) -> list[str]:
        """A caption of each picture, (B, H, W, 3) uint8."""
        return [self.kept_caption(image, language) for image in images]

    def kept_caption(self, image: np.ndarray, language: str) -> Caption:
        """The caption of one picture (H, W, 3) uint8."""
        file = self.folder / f"{digest(hashlib.sha256(image.tobytes()).hexdigest(), language)}.json"
        if not file.is_file():
            (made,) = super().caption(image[None], language)
            write_json(file, {"text": str(made), "ended": getattr(made, "ended", True)})
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Caption(kept["text"], kept["ended"])

    def kept(self, name: str, seed: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """A picture (H, W, 3) uint8 that is made once."""
        file = self.drawing(name, seed)
        if not file.is_file():
            save_png(file, make())
        return np.asarray(Image.open(file).convert("RGB"))


def digest(*what: Sequence[Any] | int) -> str:
    """A short name."""
    return hashlib.sha256(repr(what).encode()).hexdigest()[:20]
