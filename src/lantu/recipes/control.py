"""Recipes of the decoder's control: the decoder itself stays as it is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.data.layouts import elsewhere
from lantu.decoder import controls
from lantu.decoder.control import Control
from lantu.decoder.on_torch import Control as Computed
from lantu.decoder.on_torch import Decoder
from lantu.decoder.render import render
from lantu.errors import RecipeError
from lantu.images import to_array, to_bytes, to_tensor
from lantu.recipes import decoder
from lantu.recipes.decoder import DecoderRecipe
from lantu.recipes.scores import composer_of
from lantu.recipes.sheets import save_sheet, shown
from lantu.training.task import Metrics
from lantu.types import Sample


class ControlRecipe(DecoderRecipe):
    """How a control of a trained decoder, which ``start`` names, is trained.

    Attributes:
        depth: blocks of the control.
        moved: share of the pictures in which things stand elsewhere, and are of another size, than their codes say: of
            composed scenes only. As a rule codes tell all, and nothing would be left for a control to say.
        restyled: share of those in which they are in another style, too.
        times: at which the decoder is to render, each as often as it stands here: those of its few steps. The first
            decides the most, for what it gets wrong the later ones see in what they are given.
    """

    depth: int = Field(4, ge=1)
    moved: float = Field(0.0, ge=0, le=1)
    restyled: float = Field(0.0, ge=0, le=1)
    times: tuple[float, ...] = (0.0, 0.0, 0.0, 0.25, 0.5, 0.75)


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
        self.moved, self.restyled = recipe.moved, recipe.restyled
        self.times = torch.tensor(recipe.times)
        self.composer = composer_of(None, data) if recipe.moved else None
        self.networks: dict[str, nn.Module] = {"model": self.control}

    def to(self, device: torch.device) -> None:
        """Bring judge and decoder to where the control is."""
        super().to(device)
        self.model.to(device)

    def batch(self, step: int, size: int) -> Any:
        indices = self.order.indices(step * size, size)
        rng = np.random.default_rng((self.recipe.loop.seed, 4, step))
        kinds, batch = rng.integers(len(controls.KINDS), size=size), self.load("train", indices)
        scenes = [self.shards["train"].sample(index) for index in indices.tolist()]
        pictures = to_array(batch.pixels)
        for number in np.flatnonzero(rng.random(size) < self.moved):
            scenes[number], pictures[number] = self.again(scenes[number], rng)
        return self.controlled(pictures, batch.codes, scenes, kinds)

    def again(self, sample: Sample, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
        """The same things elsewhere, now and then in another style that has them all, and their picture (H, W, 3)."""
        assert self.composer is not None
        objects, gallery = sample.objects, self.composer.gallery
        styles = [style for style in self.composer.styles if all(gallery.has(it.concept, style) for it in objects)]
        if styles and rng.random() < self.restyled:
            style = styles[rng.integers(len(styles))]
            objects = tuple(replace(placed, style=style) for placed in objects)
        objects = tuple(replace(placed, box=elsewhere(placed.box, rng)) for placed in objects)
        return replace(sample, objects=objects), self.composer.compose(objects, sample.background)

    def controlled(
        self, pictures_BHWC: np.ndarray, codes_Bhw: Tensor, scenes: Sequence[Sample], kinds_B: np.ndarray
    ) -> Controlled:
        """Pictures with what they are to be controlled by, taken from themselves."""
        taken = []
        for picture, scene, kind in zip(pictures_BHWC, scenes, kinds_B.tolist(), strict=True):
            name = controls.KINDS[kind]
            if name == "layout":
                boxes = [placed.box for placed in scene.objects]
                taken.append(controls.lit(controls.layout(boxes, picture.shape[0])))
            else:
                taken.append(controls.lit(controls.edges(picture)) if name == "edges" else controls.colour(picture))
        pixels, control = to_tensor(pictures_BHWC), to_tensor(np.stack(taken))
        return Controlled(pixels, codes_Bhw, control, torch.from_numpy(kinds_B))

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.model.config.codebook_size, generator)
        device = batch.pixels.device
        time = self.times.to(device)[torch.randint(len(self.times), (len(codes),), generator=generator, device=device)]
        noise = torch.randn(batch.pixels.shape, generator=generator, device=device)
        noisy = torch.lerp(noise, batch.pixels, time[:, None, None, None])
        clean = self.model(noisy, time, codes, self.control(batch.control, batch.kind, codes)).float()
        error = (clean - batch.pixels).square().mean()
        judged, parts = self.judge(clean, batch.pixels)
        return error + judged, {"square": error.detach(), **parts}

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Pictures to be drawn; their edges; what their codes give with these edges, and without."""
        chosen = shown(self.shards["val"])
        if not len(chosen):
            return
        plain, rng = self.load("val", chosen), np.random.default_rng(0)
        scenes, pictures = [self.shards["val"].sample(index) for index in chosen.tolist()], to_array(plain.pixels)
        if self.composer:
            scenes, drawn = zip(*(self.again(scene, rng) for scene in scenes), strict=True)
            pictures = np.stack(drawn)
        wanted = self.controlled(pictures, plain.codes, scenes, np.zeros(len(chosen), np.int64))
        codes, seeds, artist = plain.codes.numpy(), chosen.tolist(), Decoder(self.model)
        hint = Computed(self.control)(wanted.control.numpy(), 0, codes)
        few = {"steps": 4, "sampler_name": "consistency"}
        rows = [render(artist, codes, seeds, **few, hint_2BND=hint), render(artist, codes, seeds, **few)]
        save_sheet(folder / f"{step:06d}.png", [*map(to_array, (wanted.pixels, wanted.control)), *map(to_bytes, rows)])

    def export(self, folder: Path) -> None:
        """Write the control where a model directory keeps it."""
        self.control.save(folder)


def emoji() -> ControlRecipe:
    """The shipped decoder's, from a model (``--start MODEL``).

    On one CPU core: 25 pictures/s, 50 minutes.
    """
    recipe = decoder.further()
    recipe = recipe.model_copy(update={"dropped": 0.1, "hidden": 0.1, "spoilt": 0.3, "most": 0.3})
    loop = recipe.loop.model_copy(update={"steps": 2400, "lr": 1e-3, "decay_fraction": 0.4})
    return ControlRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop, moved=0.7, restyled=0.3)


def debug() -> ControlRecipe:
    """In seconds, from the decoder of the recipe of that name."""
    return ControlRecipe(**decoder.debug().model_dump(), depth=1)


RECIPES = {"emoji": emoji, "debug": debug}
