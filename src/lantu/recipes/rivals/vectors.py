"""The pictures of a data folder as vectors: features of an image tokenizer before quantisation, or patches of pixels.

Shapes: B pictures, C H W of pictures, h w grid, n = h·w, E numbers of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lantu.data.shards import Shards, read_index
from lantu.errors import RecipeError
from lantu.images import scale, to_tensor
from lantu.models.lantu.layers import to_patches
from lantu.recipes.codes import load_tokenizer
from lantu.recipes.corpus import Pictures
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.sources import part_folder

LOOKED_AT = 512  # pictures whose vectors are measured
MARGIN = 1.25  # levels reach so much further than any vector that was seen
FINE, BYTES = 1 << 16, 256  # levels of features, and of pixels


@dataclass(frozen=True, eq=False)
class Space:
    """What vectors are, and how they are scaled.

    Attributes:
        grid: height and width of a picture in vectors.
        patch: pixels a side of a drawing for one vector.
        size: pixels a side of drawings.
        mean_E, scale_E: a vector is scaled to ``(vector - mean) / scale``.
        reach, levels: see ``VectorConfig``.
        tokenizer, folder: whose features they are; None for pixels.
    """

    grid: tuple[int, int]
    patch: int
    size: int
    mean_E: Tensor
    scale_E: Tensor
    reach: float
    levels: int
    tokenizer: Any = None
    folder: Path | None = None

    @classmethod
    def of(cls, recipe: Any, data: Path) -> "Space":
        """The space that a recipe names, scaled by the data's first pictures.

        Raises:
            RecipeError: the size is no whole number of vectors, or features have no tokenizer.
            DataError: there is no data.
        """
        size, tokenizer, folder = recipe.size or int(read_index(data)["size"]), None, None
        if recipe.space == "features":
            tokenizer, folder = load_tokenizer(recipe.tokenizer), part_folder(recipe.tokenizer, "tokenizer")
        side = tokenizer.config.grid if tokenizer else size // recipe.patch
        if not side or size % side:
            raise RecipeError(f"{size} pixels for {side} vectors a side", f"set size to a multiple of {side or 1}")
        shards = Shards(data, "train")
        check_one_shape(shards, "a model of vectors")
        pixels_BCHW = scale(to_tensor(shards.images(list(range(min(LOOKED_AT, len(shards)))))), size, size)
        plain = cls((side, side), size // side, size, *ones(1), 1.0, BYTES, tokenizer, folder)
        raw_TE = plain.raw(pixels_BCHW).flatten(0, 1)
        if tokenizer is None:  # from black to white
            scale_E = rounded(raw_TE.std()).expand(raw_TE.shape[1]).clone()
            return cls(
                (side, side), plain.patch, size, torch.zeros_like(scale_E), scale_E, float(1 / scale_E[0]), BYTES
            )
        mean_E, spread_E = rounded(raw_TE.mean(0)), raw_TE.std(0)
        whole = spread_E.square().mean().sqrt()
        scale_E = rounded(spread_E.clamp_min(1e-3 * float(whole)) if recipe.whitened else whole.expand_as(spread_E))
        reach = MARGIN * float(((raw_TE - mean_E) / scale_E).abs().max())
        return cls((side, side), plain.patch, size, mean_E, scale_E, reach, FINE, tokenizer, folder)

    @property
    def digest(self) -> str:
        """The codes digest of the tokenizer; "" for pixels."""
        return self.tokenizer.codes_digest() if self.tokenizer else ""

    @torch.no_grad()
    def raw(self, pixels_BCHW: Tensor) -> Tensor:
        """Vectors before they are scaled, (B, n, E)."""
        if self.tokenizer is None:
            return to_patches(pixels_BCHW, self.patch)
        own = self.tokenizer.config.size
        return self.tokenizer.encoder(scale(pixels_BCHW, own, own))

    def vectors(self, pixels_BCHW: Tensor) -> Tensor:
        """The vectors of pictures in [-1, 1], (B, n, E)."""
        return (self.raw(pixels_BCHW) - self.mean_E) / self.scale_E


def ones(count: int) -> tuple[Tensor, Tensor]:
    """No scaling."""
    return torch.zeros(count), torch.ones(count)


def rounded(values: Tensor) -> Tensor:
    """As bfloat16 keeps them, so that a model directory holds what was trained with."""
    return values.bfloat16().float().contiguous()


class VectorPictures(Pictures):
    """The pictures of a data folder with a grid of zeros for each, where documents have their codes."""

    def __init__(self, data: Path, space: Space, seed: int, split: str = "train"):
        self.data, self.space, self.seed = data, space, seed
        super().__init__(data, space, seed, split)

    def load(self, data: Path, tokenizer: Space, split: str) -> np.ndarray:
        """Zeros (M, h, w)."""
        return np.broadcast_to(np.zeros(tokenizer.grid, np.uint16), (len(self.shards), *tokenizer.grid))

    def of_split(self, split: str) -> "VectorPictures":
        """Those of another split."""
        return VectorPictures(self.data, self.space, self.seed, split)

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """Pictures (B, C, H, W) in [-1, 1] of the drawings' size."""
        return scale(to_tensor(self.shards.images(np.array(indices))), self.space.size, self.space.size)
