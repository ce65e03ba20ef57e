"""The pictures of a data folder as vectors of one of three kinds: embeddings of a frozen vision encoder, features of
an image tokenizer before quantisation, or patches of pixels.

Shapes: B pictures, C H W of pictures, h w grid, n = h·w, E numbers of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
from lantu.recipes.rivals.directory import Part
from lantu.recipes.sources import part_folder
from lantu.rivals.continuous.vision import VisionEncoder

LOOKED_AT = 512  # pictures whose vectors are measured
MARGIN = 1.25  # levels reach so much further than any vector that was seen
FINE, BYTES = 1 << 16, 256  # levels of features, and of pixels


class Eye(Protocol):
    """What makes vectors of pictures.

    Attributes:
        part: the folder of a model directory in which it lies; "" where nothing is kept.
        digest: identifies it; "" for pixels.
    """

    part: str
    digest: str

    def side(self, size: int) -> int:
        """Vectors a side of a picture of ``size`` pixels a side."""
        ...

    def raw(self, pixels_BCHW: Tensor) -> Tensor:
        """Vectors before they are scaled, (B, n, E)."""
        ...

    def written(self) -> Part:
        """What a model directory keeps of it."""
        ...


@dataclass(frozen=True, eq=False)
class Patches:
    """Pixels themselves."""

    patch: int
    part = digest = ""

    def side(self, size: int) -> int:
        """See ``Eye``."""
        return size // self.patch

    def raw(self, pixels_BCHW: Tensor) -> Tensor:
        """See ``Eye``."""
        return to_patches(pixels_BCHW, self.patch)

    def written(self) -> Part:
        """Nothing is kept."""
        raise NotImplementedError


class Features:
    """An image tokenizer's, before quantisation."""

    part = "tokenizer"

    def __init__(self, named: str):
        self.tokenizer, self.folder = load_tokenizer(named), part_folder(named, "tokenizer")
        self.digest = self.tokenizer.codes_digest()

    def side(self, size: int) -> int:
        """See ``Eye``."""
        return self.tokenizer.config.grid

    @torch.no_grad()
    def raw(self, pixels_BCHW: Tensor) -> Tensor:
        """See ``Eye``."""
        own = self.tokenizer.config.size
        return self.tokenizer.encoder(scale(pixels_BCHW, own, own))

    def written(self) -> Part:
        """See ``Eye``."""
        return self.folder


class Embeddings:
    """A frozen vision encoder's."""

    part = "vision"

    def __init__(self, trained: bool):
        self.encoder = VisionEncoder.published(trained)
        self.digest = self.encoder.digest()

    def side(self, size: int) -> int:
        """See ``Eye``."""
        return size // self.encoder.patch if size % self.encoder.patch == 0 else 0

    def raw(self, pixels_BCHW: Tensor) -> Tensor:
        """See ``Eye``."""
        return self.encoder(pixels_BCHW)

    def written(self) -> Part:
        """See ``Eye``."""
        return self.encoder.save


def eye_of(recipe: Any) -> Eye:
    """What a recipe sees pictures with. Raises RecipeError, ModelError or DataError where it can't be had."""
    if recipe.space == "features":
        return Features(recipe.tokenizer)
    return Embeddings(recipe.pretrained) if recipe.space == "vision" else Patches(recipe.patch)


@dataclass(frozen=True, eq=False)
class Space:
    """What vectors are, and how they are scaled.

    Attributes:
        eye: makes them.
        grid: height and width of a picture in vectors.
        patch: pixels a side of a drawing for one vector.
        size: pixels a side of drawings.
        mean_E, scale_E: a vector is scaled to ``(vector - mean) / scale``.
        reach, levels: see ``VectorConfig``.
    """

    eye: Eye
    grid: tuple[int, int]
    patch: int
    size: int
    mean_E: Tensor
    scale_E: Tensor
    reach: float
    levels: int

    @classmethod
    def of(cls, recipe: Any, data: Path) -> "Space":
        """The space that a recipe names, scaled by the data's first pictures.

        Raises:
            RecipeError: the size is no whole number of vectors, or features have no tokenizer.
            DataError: there is no data, or the vision encoder can't be fetched.
        """
        size, eye = recipe.size or int(read_index(data)["size"]), eye_of(recipe)
        side = eye.side(size)
        if not side or size % side:
            raise RecipeError(f"{size} pixels for {side} vectors a side", f"set size to a multiple of {side or 16}")
        shards = Shards(data, "train")
        check_one_shape(shards, "a model of vectors")
        pixels_BCHW = scale(to_tensor(shards.images(list(range(min(LOOKED_AT, len(shards)))))), size, size)
        shape = eye, (side, side), size // side, size
        raw_TE = torch.cat([eye.raw(some).flatten(0, 1) for some in pixels_BCHW.split(64)])
        if isinstance(eye, Patches):  # from black to white
            scale_E = rounded(raw_TE.std()).expand(raw_TE.shape[1]).clone()
            return cls(*shape, torch.zeros_like(scale_E), scale_E, float(1 / scale_E[0]), BYTES)
        mean_E, spread_E = rounded(raw_TE.mean(0)), raw_TE.std(0)
        whole = spread_E.square().mean().sqrt()
        scale_E = rounded(spread_E.clamp_min(1e-3 * float(whole)) if recipe.whitened else whole.expand_as(spread_E))
        reach = MARGIN * float(((raw_TE - mean_E) / scale_E).abs().max())
        return cls(*shape, mean_E, scale_E, reach, FINE)

    @property
    def renders(self) -> bool:
        """Whether a decoder must make pixels of its vectors."""
        return bool(self.eye.part)

    def vectors(self, pixels_BCHW: Tensor) -> Tensor:
        """The vectors of pictures in [-1, 1], (B, n, E)."""
        return (self.eye.raw(pixels_BCHW) - self.mean_E) / self.scale_E


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
