"""Pixel autoregression (``lantu.rivals.pixel_ar``).

    lantu train rival --recipe pixel-ar --data DATA

The palette is found by k-means of the data's own colours when the run begins, and again when it is resumed; then the
language model is trained as lantu's own is, on a colour a pixel. Shapes: B pictures, C channels, h w pixels of a draft.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lantu import files
from lantu.data.gallery import load_gallery
from lantu.data.shards import Shards, gallery_of, read_index
from lantu.errors import RecipeError
from lantu.images import scale, to_array, to_tensor
from lantu.models.lantu.language.model import export
from lantu.recipes.corpus import Corpus
from lantu.recipes.document_sources import Filling, hole
from lantu.recipes.documents import Captioned, Mixture, Source
from lantu.recipes.language_settings import LanguageRecipe
from lantu.recipes.language_task import LanguageSetup, LanguageTask
from lantu.recipes.next_token import NextToken, captioned
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.pictures import is_own
from lantu.recipes.rivals import directory
from lantu.rivals.pixel_ar.clustering import colours_of
from lantu.rivals.pixel_ar.folder import CLASS, CLASSES, KIND
from lantu.rivals.pixel_ar.palette import TENSOR, Palette
from lantu.tokens.vocabulary import MAX_SIDE
from lantu.training.config import LoopConfig
from lantu.training.flops import flops_per_sample
from lantu.types import Document, MaskedGrid
from lantu.weights import tensors

LOOKED_AT = 512  # pictures whose colours are clustered
DRAW = {"guidance": 1.5, "temperature": 0.9}


class PixelRecipe(LanguageRecipe):
    """How a pixel-autoregressive model is trained; see ``LanguageRecipe`` for the rest.

    Attributes:
        colours: of the palette; 512 is iGPT's "9-bit".
        side: pixels a side of a draft, so many ids squared.
        resample: how a draft is scaled to the size of the data's pictures.
        filling: share of the documents that teach to fill a box of a picture, for editing.
    """

    colours: int = Field(512, ge=2)
    side: int = Field(32, ge=1, le=MAX_SIDE)
    resample: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    filling: float = Field(0.1, ge=0, le=1)


class PaletteTokenizer:
    """A palette as ``lantu.recipes.codes.Tokenizer``."""

    def __init__(self, palette: Palette):
        self.palette = palette

    @property
    def size(self) -> int:
        """Pixels a side of a draft."""
        return self.palette.size

    @property
    def codebook_size(self) -> int:
        """Number of colours."""
        return len(self.palette.vectors_KE)

    def codes_digest(self) -> str:
        """The SHA-256 of colours and size."""
        return hashlib.sha256(self.palette.vectors_KE.tobytes() + str(self.size).encode()).hexdigest()

    def encode(self, pixels_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1] of any size → colours of their averages (B, h, w) int64."""
        small = scale(pixels_BCHW, self.size, self.size)
        return torch.from_numpy(self.palette.encode(small.numpy()))

    def paint(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Colours → (B, H, W, 3) uint8."""
        return self.palette.paint(codes_Bhw)


@dataclass(frozen=True)
class Boxes:
    """Any box of a picture, to be filled in after its caption."""

    corpus: Corpus

    def __call__(self, index: int, rng: np.random.Generator) -> Document | None:
        codes_hw = self.corpus.grids[index]
        caption, language = self.corpus.caption(index, rng)
        return Document((caption, MaskedGrid(codes_hw, hole(None, codes_hw.shape, rng))), language)


class Task(LanguageTask):
    """From words to pixels, and back."""

    exported = KIND

    def __init__(self, recipe: PixelRecipe, data: Path):
        self.palette = palette_of(data, recipe)
        setup = LanguageSetup(recipe, data, PaletteTokenizer(self.palette))
        plain = Captioned(setup.corpus, recipe.captioning, recipe.dropped)
        if recipe.filling:
            setup.model.config.lantu["learnt"] = ["filling"]
        documents = Mixture([(recipe.filling, filling(setup.corpus, data))], plain, recipe.loop.seed)
        objective = NextToken(setup.model, setup.corpus, documents, recipe.row)
        super().__init__(setup, [(1.0, objective)], validated=captioned(setup))
        self.flops_per_sample = flops_per_sample(self)

    def export(self, folder: Path) -> None:
        """Write the model directory."""
        index = {"_class_name": CLASS, **CLASSES, "draw": DRAW}
        parts: dict[str, directory.Part] = {
            "language": lambda place: export(self.model, place, self.setup.codec),
            "palette": lambda place: save(self.palette, place),
        }
        directory.write(folder, KIND, index, parts, "pixel-ar", self.flops_per_sample)


def filling(corpus: Corpus, data: Path) -> Source:
    """Gaps to be filled: of the things in composed scenes, as lantu learns them; of other pictures any box."""
    if is_own(read_index(data)):
        return Boxes(corpus)
    return Filling(corpus, load_gallery(gallery_of(data)).concepts)


def palette_of(data: Path, recipe: PixelRecipe) -> Palette:
    """The palette of a data folder's first pictures.

    Raises:
        RecipeError: the data's pictures are not a whole number of times as large as a draft.
        DataError: there is no data.
    """
    size = int(read_index(data)["size"])
    if size % recipe.side:
        what = f"pictures of {size} pixels can't be drafted at {recipe.side}"
        raise RecipeError(what, f"choose a side that divides {size}: --set side=N")
    shards = Shards(data, "train")
    check_one_shape(shards, "a model of pixels")
    pixels = to_tensor(shards.images(list(range(min(LOOKED_AT, len(shards))))))
    colours_MC = to_array(scale(pixels, recipe.side, recipe.side)).reshape(-1, 3)
    colours = colours_of(colours_MC, recipe.colours, recipe.loop.seed)
    return Palette(colours, recipe.side, size // recipe.side, recipe.resample)


def save(palette: Palette, folder: Path) -> None:
    """Write a palette's folder. Raises DiskError."""
    tensors.save({TENSOR: torch.from_numpy(palette.vectors_KE)}, folder, None)
    files.write_json(folder / "config.json", palette.config)


def pixel_ar() -> PixelRecipe:
    """18M parameters, as many as lantu's three parts together; 1,024 ids a picture.

    Its batches are small because a picture costs some forty times what it costs lantu's language model.
    """
    return PixelRecipe(
        text_size=2048,
        width=448,
        layers=7,
        heads=7,
        inner=1216,
        captioning=0.1,
        loop=LoopConfig(
            steps=2000,
            batch_size=8,
            lr=2e-3,
            warmup_steps=100,
            decay_fraction=0.3,
            optimizer="muon",
            sample_every=500,
        ),
    )


def debug() -> PixelRecipe:
    """In seconds."""
    return PixelRecipe(
        text_size=300,
        width=64,
        layers=2,
        heads=2,
        inner=192,
        colours=16,
        side=8,
        captioning=0.1,
        filling=0.2,
        loop=LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"pixel-ar": pixel_ar, "pixel-ar-debug": debug}
