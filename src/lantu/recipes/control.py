"""Recipes of the decoder's control: the decoder itself stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.decoder import controls
from lantu.decoder.control import Control
from lantu.decoder.flow import flow_loss
from lantu.decoder.on_torch import Control as Computed
from lantu.decoder.on_torch import Decoder
from lantu.decoder.render import render
from lantu.errors import RecipeError
from lantu.images import to_array, to_bytes, to_tensor
from lantu.recipes import decoder
from lantu.recipes.codes import encoder
from lantu.recipes.decoder import DecoderRecipe
from lantu.recipes.scores import composer_of
from lantu.recipes.sheets import save_sheet, shown
from lantu.training.task import Metrics
from lantu.types import Placed, Sample


class ControlRecipe(DecoderRecipe):
    """How a control of a trained decoder, which ``start`` names, is trained.

    Attributes:
        depth: blocks of the control.
        restyled: share of the pictures whose codes are those of the same scene in another style: they say what is
            there, the control how it is drawn, as when a drawing is to follow a picture that it does not know. Of
            composed scenes only.
    """

    depth: int = Field(3, ge=1)
    restyled: float = Field(0.0, ge=0, le=1)


class Controlled(NamedTuple):
    """A batch of the decoder's with a picture of control (B, C, H, W) in [-1, 1] for each, and its kind (B)."""

    pixels: Tensor
    codes: Tensor
    control: Tensor
    kind: Tensor


class Task(decoder.Task):
    """Codes and a picture of control in, pictures out."""

    def __init__(self, recipe: ControlRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("a control stands beside a decoder", "give it with --start MODEL")
        super().__init__(recipe, data)
        self.model.eval().requires_grad_(False)
        self.control = Control.beside(self.model, recipe.depth)
        self.restyled, self.encode = recipe.restyled, encoder(self.tokenizer)
        self.composer = composer_of(None, data) if recipe.restyled else None
        self.networks: dict[str, nn.Module] = {"model": self.control}

    def to(self, device: torch.device) -> None:
        """Bring judge and decoder to where the control is."""
        super().to(device)
        self.model.to(device)

    def batch(self, step: int, size: int) -> Any:
        indices = self.order.indices(step * size, size)
        rng = np.random.default_rng((self.recipe.loop.seed, 4, step))
        batch = self.controlled("train", indices, rng.integers(len(controls.KINDS), size=size))
        if self.composer is None:
            return batch
        chosen = np.flatnonzero(rng.random(size) < self.restyled)
        samples = [self.shards["train"].sample(int(indices[at])) for at in chosen]
        drawn = {
            int(at): again for at, sample in zip(chosen, samples, strict=True) if (again := self.again(sample, rng))
        }
        codes = batch.codes.clone()
        if drawn:
            pictures = [self.composer.compose(objects, sample) for objects, sample in drawn.values()]
            codes[list(drawn)] = torch.from_numpy(self.encode(np.stack(pictures)).astype(np.int64))
        return batch._replace(codes=codes)

    def again(self, sample: Sample, rng: np.random.Generator) -> tuple[tuple[Placed, ...], str] | None:
        """The same things in the same places in another style, and their background; None if no style has them all."""
        assert self.composer is not None
        styles = [
            style
            for style in self.composer.styles
            if all(
                placed.style != style and self.composer.gallery.has(placed.concept, style) for placed in sample.objects
            )
        ]
        if not styles or not sample.objects:
            return None
        style = styles[rng.integers(len(styles))]
        return tuple(replace(placed, style=style) for placed in sample.objects), sample.background

    def controlled(self, split: str, indices: np.ndarray, kinds: np.ndarray) -> Controlled:
        """Pictures with what they are to be controlled by, taken from themselves."""
        batch, shards = self.load(split, indices), self.shards[split]
        taken = []
        for index, kind, picture in zip(indices.tolist(), kinds.tolist(), to_array(batch.pixels), strict=True):
            name = controls.KINDS[kind]
            if name == "layout":
                boxes = [placed.box for placed in shards.sample(index).objects]
                taken.append(controls.lit(controls.layout(boxes, picture.shape[0])))
            else:
                taken.append(controls.lit(controls.edges(picture)) if name == "edges" else controls.colour(picture))
        return Controlled(*batch, to_tensor(np.stack(taken)), torch.from_numpy(kinds))

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.model.config.codebook_size, generator)
        hint = self.control(batch.control, batch.kind, codes)

        def predict(noisy: Tensor, time: Tensor, codes: Tensor) -> Tensor:
            return self.model(noisy, time, codes, hint)

        loss, clean = flow_loss(predict, batch.pixels, codes, generator, self.recipe.mean, self.recipe.spread)
        judged, parts = self.judge(clean, batch.pixels)
        return loss + judged, {"flow": loss.detach(), **parts}

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures; their edges; what the wrong codes of another picture give, with these edges and without."""
        if len(chosen := shown(self.shards["val"])) < 2:
            return
        real = self.controlled("val", chosen, np.zeros(len(chosen), np.int64))
        codes = real.codes.roll(1, 0).numpy()
        hint = Computed(self.control)(real.control.numpy(), 0, codes)
        seeds, artist = chosen.tolist(), Decoder(self.model)
        rows = [render(artist, codes, seeds, 4, hint_BND=hint), render(artist, codes, seeds, 4)]
        save_sheet(folder / f"{step:06d}.png", [*map(to_array, (real.pixels, real.control)), *map(to_bytes, rows)])

    def export(self, folder: Path) -> None:
        """Write the control where a model directory keeps it."""
        self.control.save(folder)


def emoji() -> ControlRecipe:
    """The shipped decoder's, from a model (``--start MODEL``).

    Codes are spoilt more than for the decoder, for it is where they err that a control is needed.

    On one CPU core: 25 pictures/s, 25 minutes.
    """
    recipe = decoder.further()
    recipe = recipe.model_copy(update={"dropped": 0.2, "hidden": 0.1, "spoilt": 0.5, "most": 0.5})
    loop = recipe.loop.model_copy(update={"steps": 1200, "lr": 1e-3, "decay_fraction": 0.4})
    return ControlRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop, restyled=0.6)


def debug() -> ControlRecipe:
    """In seconds, from the decoder of the recipe of that name."""
    return ControlRecipe(**decoder.debug().model_dump(), depth=1)


RECIPES = {"emoji": emoji, "debug": debug}
