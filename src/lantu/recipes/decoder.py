"""Recipes of the diffusion decoder."""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn

from lantu.diffusion.flow import Corruption, flow_loss, mask_tail, replace
from lantu.diffusion.sample import sample
from lantu.errors import RecipeError
from lantu.images import to_array, to_bytes
from lantu.models.lantu.components import is_pretrained
from lantu.models.lantu.decoder.config import DecoderConfig
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.decoder.pytorch import as_decoder
from lantu.models.lantu.layers import in_blocks
from lantu.models.lantu.sizes import Width
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.codes import codes_of, load_tokenizer
from lantu.recipes.more_codes import origins
from lantu.recipes.picture_batches import CodedBatches, check_one_shape
from lantu.recipes.ranges import Share, Weight
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.sources import part_folder
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.task import Metrics


class DecoderRecipe(RecipeConfig):
    """How a diffusion decoder is trained.

    Attributes:
        tokenizer: folder of the trained tokenizer whose codes it renders.
        start: a trained decoder to start from, whose sizes it keeps: a run, a model directory, or a decoder's folder.
            "" starts as the tokenizer's plain decoder.
        size: pixels a side of its pictures; where they have several shapes, of the square that is about as large.
        dropped, hidden, spoilt, most: how codes are corrupted, see ``Corruption``.
        mean, spread: of the noise times, see ``flow_loss``.
        perceptual_weight: of LPIPS between the clean estimate and the picture, beside the flow loss; 0 for none.
        judged: share of the batch on which LPIPS is computed.
        rehearsed, rehearsal: a data folder of what it rendered before (``lantu data build drawings``), and its share of
            each batch.
    """

    tokenizer: str = ""
    start: str = ""
    size: PositiveInt = 128
    width: Width = 256
    layers: PositiveInt = 6
    dropped: Share = 0.1
    hidden: Share = 0.1
    spoilt: Share = 0.4
    most: Share = 0.2
    mean: FiniteFloat = -0.8
    spread: Weight = 1.0
    perceptual_weight: Weight = 0.0
    judged: Share = 0.5
    rehearsed: str = ""
    rehearsal: float = Field(0.25, ge=0, lt=1)


class Task(training.Task):
    """Flow matching of pictures, conditioned on their codes.

    Attributes:
        extends: whether the decoder in ``start`` may know fewer codes than the tokenizer has (``more_codes``); a recipe
            whose ``start`` also teaches needs one that knows them all.
    """

    extends = True

    def __init__(self, recipe: DecoderRecipe, data: Path):
        self.recipe = recipe
        self.tokenizer = tokenizer = load_tokenizer(recipe.tokenizer)
        side = tokenizer.config.grid
        if recipe.size % side:
            raise RecipeError(f"{recipe.size} pixels for {side} codes a side", f"set size to a multiple of {side}")
        self.patch = recipe.size // side
        grids = {split: codes_of(data, tokenizer, split, or_empty=split == "val") for split in ("train", "val")}
        old, share = Path(recipe.rehearsed) if recipe.rehearsed else None, recipe.rehearsal
        if old:
            grids["rehearsed"] = codes_of(old, tokenizer, "train")
        canvas = (side, side) if tokenizer.config.queries else None
        order = (canvas, tokenizer.config.depth)
        self.source = CodedBatches(data, grids, self.patch, recipe.loop.seed, old, share, *order)
        if canvas:
            check_one_shape(self.source.shards["train"], "a sequence of codes")
        self.feeder = self.source if self.source.portable else None
        self.model = self._begin(tokenizer)
        self.model.config = self.model.config.model_copy(update={"tokenizer": tokenizer.codes_digest()})
        self.networks: dict[str, nn.Module] = {"model": self.model}
        shares = (recipe.dropped, recipe.hidden, recipe.spoilt, recipe.most)
        self.spoil = Corruption(*shares, tokenizer.config.nested, tokenizer.config.depth)
        self.perceptual = None
        if recipe.perceptual_weight:
            from lantu.features.lpips import load_lpips

            self.perceptual = load_lpips("alex")

    def _begin(self, tokenizer: ImageTokenizer) -> PixelDecoder:
        """The decoder that the recipe starts from, or a new one that decodes as the plain decoder does.

        Raises:
            RecipeError: the one that it starts from renders other codes, or another size.
            ModelError: it can't be read.
        """
        recipe, patch, codebook_size = self.recipe, self.patch, tokenizer.codebook_size
        own = tokenizer.config
        if recipe.start:
            folder = part_folder(recipe.start, "decoder")
            if is_pretrained(folder):
                raise RecipeError(f"{recipe.start} holds a pretrained decoder", "train it with --recipe adopted")
            model = PixelDecoder.load(folder)
            origins_K = origins(tokenizer, model.config.codebook_size) if self.extends and not own.queries else None
            if origins_K is not None:
                model = model.with_more_codes(origins_K)
            model.requires_grad_()
            if (model.config.patch, model.config.codebook_size) != (patch, codebook_size):
                what = f"{recipe.start} renders {model.config.codebook_size:,} codes of {model.config.patch} pixels"
                raise RecipeError(
                    f"{what}, not {codebook_size:,} of {patch}", "start from another one, or without --start"
                )
            if (model.config.queries, model.config.depth) != (own.queries, own.depth):
                kinds = [order_of(config.queries, config.depth) for config in (model.config, own)]
                raise RecipeError(
                    f"{recipe.start} renders {kinds[0]}, this image tokenizer writes {kinds[1]}",
                    "start from another one",
                )
            return model
        sizes = {"width": recipe.width, "layers": recipe.layers, "codebook_size": codebook_size, "depth": own.depth}
        config = DecoderConfig(patch=patch, **sizes)
        if own.queries:
            order = {"queries": own.queries, "nested": own.nested, "cells": own.grid}
            config = config.model_copy(update=order)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            model = PixelDecoder(config)
        if tokenizer.config.width == recipe.width:
            plain = tokenizer.decoder.state_dict()
            if tokenizer.config.latents:  # it paints no pixels
                plain = {name: value for name, value in plain.items() if not name.startswith("out.")}
            model.start_from(plain, tokenizer.code_embeddings())
        return model

    def batch(self, step: int, size: int) -> Any:
        """``size`` pictures of one shape and their codes: ``Coded``; rehearsed ones by their share."""
        return self.source.batch(step, size)

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.model.config.codebook_size, generator)
        loss, clean = flow_loss(self.model, batch.pixels, codes, generator, self.recipe.mean, self.recipe.spread)
        judged, parts = self._judge(clean, batch.pixels)
        return loss + judged, {"flow": loss.detach(), **parts}

    def validation(self, number: int, size: int) -> Any:
        """Validation pictures of one shape and their codes: ``Coded``."""
        return self.source.validation(number, size)

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """The flow loss by the true codes, at noise times that are always the same."""
        loss, _ = flow_loss(self.model, batch.pixels, batch.codes, generator, self.recipe.mean, self.recipe.spread)
        return {"loss": loss}

    def _judge(self, clean_BCHW: Tensor, wanted_BCHW: Tensor) -> tuple[Tensor | float, Metrics]:
        """The weighted perceptual distance of a share of the pictures, and its metric; 0 if there is no weight."""
        if self.perceptual is None:
            return 0.0, {}
        judged = max(1, round(self.recipe.judged * len(clean_BCHW)))
        distance = self.perceptual(clean_BCHW[:judged], wanted_BCHW[:judged]).mean()
        return self.recipe.perceptual_weight * distance, {"lpips": distance.detach()}

    def to(self, device: torch.device) -> None:
        """Move the perceptual network to the device."""
        if self.perceptual is not None:
            self.perceptual.to(device)

    uses_muon = staticmethod(in_blocks)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures; rendered from their codes in 8 steps and in 1; from codes of which a tenth is wrong.

        Of a sequence also from its fewest codes, and from four times as many.
        """
        if not len(chosen := shown(self.source.shards["val"])):
            return
        real, seeds = self.source.load("val", chosen), chosen.tolist()
        each = self.model.config.codebook_size // self.model.config.depth
        wrong = replace(real.codes, 0.1, each, torch.Generator().manual_seed(0))
        decoder = as_decoder(self.model)
        shown_codes = [(real.codes, 8), (real.codes, 1), (wrong, 8)]
        if fewest := self.tokenizer.config.nested:
            counts = (torch.full((len(seeds),), count) for count in (fewest, 4 * fewest))
            shown_codes += [(mask_tail(real.codes, count), 8) for count in counts]
        rows = [sample(decoder, codes.numpy(), seeds, steps) for codes, steps in shown_codes]
        save_sheet(folder / f"{step:06d}.png", [to_array(real.pixels), *map(to_bytes, rows)])

    def export(self, folder: Path) -> None:
        """Write the decoder as a model directory keeps it."""
        self.model.save(folder)


def order_of(queries: int, depth: int) -> str:
    """How codes stand, in words."""
    return f"a sequence of {queries}" if queries else f"a grid of {depth} a cell" if depth > 1 else "a grid"


def emoji() -> DecoderRecipe:
    """The shipped model's: 7.3M parameters, starting as the tokenizer's plain decoder.

    On one CPU core: 29 pictures/s, 50 minutes. The flow loss should be near 0.1 after 450 steps.
    """
    return DecoderRecipe(
        perceptual_weight=0.3,
        judged=0.25,
        loop=LoopConfig(
            steps=2550, batch_size=32, lr=1e-3, warmup_steps=100, decay_fraction=0.3, optimizer="muon", sample_every=400
        ),
    )


def anywhere() -> DecoderRecipe:
    """For the codes of the tokenizer's recipe of this name, which are taken at 160 px and rendered at 320.

    Needs the same scenes at 320 px as data (``lantu data build emoji … --size 320``); starts as the plain decoder,
    scaled up.
    """
    recipe = emoji()
    recipe.size = 320
    return recipe


def further() -> DecoderRecipe:
    """Continues from a trained model (``--start MODEL``): the shipped one's second half.

    On one CPU core: 33 pictures/s, 65 minutes. LPIPS on the validation pictures should end near 0.12.
    """
    recipe = emoji()
    recipe.loop = recipe.loop.model_copy(update={"steps": 4000, "decay_fraction": 0.5})
    return recipe


def sequence() -> DecoderRecipe:
    """For the tokenizer's recipes "sequence" and "seed": six of ten pictures are rendered from a prefix of their codes.

    On one CPU core: 17 pictures/s.
    """
    recipe = emoji()
    recipe.hidden = 0.6
    return recipe


def debug() -> DecoderRecipe:
    """The whole story in seconds."""
    return DecoderRecipe(
        size=32, width=64, layers=2, loop=LoopConfig(steps=40, batch_size=8, warmup_steps=5, precision="fp32")
    )


RECIPES = {"debug": debug, "emoji": emoji, "anywhere": anywhere, "further": further, "sequence": sequence}
