"""Recipes of picture control (edges, boxes, colours); language model and decoder are frozen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, field_validator
from torch import Tensor, nn

from lantu.diffusion.flow import mask_tail
from lantu.diffusion.sample import sample
from lantu.errors import RecipeError
from lantu.images import to_array, to_bytes, to_tensor
from lantu.models.lantu import controls
from lantu.models.lantu.decoder.control import NOTHING, ControlNetwork
from lantu.models.lantu.decoder.pytorch import TorchControl, as_decoder
from lantu.recipes import decoder
from lantu.recipes.codes import check_cells
from lantu.recipes.decoder import DecoderRecipe
from lantu.recipes.identity import weights_digest
from lantu.recipes.picture_batches import Coded, check_one_shape
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.sources import part_folder
from lantu.training.task import Metrics
from lantu.types import MASK_CODE, Sample

Time = Annotated[float, Field(ge=0, lt=1)]


class ControlRecipe(DecoderRecipe):
    """How a control for a trained decoder, which ``start`` names, is trained.

    Attributes:
        control: a trained control to start from: a run, a model directory, or the part's own folder. "" starts from the
            decoder's first blocks.
        depth: blocks of the control.
        fitting_weight: of the loss of which codes fit, beside the loss of the pictures.
        drawn: share of the pictures that are also rendered, which takes the most time and has less to learn.
        unseen: share of the pictures whose codes are predicted without the control picture, for comparison.
        guessed: the largest share of a picture's codes that are replaced, before it is rendered, by others that fit the
            control picture, as in a draft. With the right codes the control would have nothing to add.
        times: of the decoder's steps, each as often as it stands here. The first decides the most: later steps see its
            mistakes in their input.
        shares: of the kinds of control. Edges carry the most information, and boxes the least.
        coarsest: scale of the coarsest edges, see ``controls.edges``: other programs' edges have more or less detail.
    """

    control: str = ""
    depth: int = Field(4, ge=1)
    fitting_weight: float = Field(0.1, ge=0)
    drawn: float = Field(0.25, gt=0, le=1)
    unseen: float = Field(0.15, ge=0, le=1)
    guessed: float = Field(0.5, ge=0, le=1)
    times: tuple[Time, ...] = Field((0.0, 0.0, 0.0, 0.25, 0.5, 0.75), min_length=1)
    shares: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.6, 0.1, 0.3)
    coarsest: float = Field(4.0, ge=1)

    @field_validator("shares")
    @classmethod
    def some_kind(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        """Refuse shares that are all 0."""
        if not sum(shares):
            raise ValueError("at least one kind of control must have a share")
        return shares


class Controlled(NamedTuple):
    """A decoder's batch with a control picture (B, C, H, W) in [-1, 1] for each, and its kind (B)."""

    pixels: Tensor
    codes: Tensor
    control: Tensor
    kind: Tensor


class Task(decoder.Task):
    """From codes and a control picture to a picture."""

    shardable = False

    extends = False

    def __init__(self, recipe: ControlRecipe, data: Path):
        if not recipe.start:
            raise RecipeError("a control is trained for a decoder", "give it with --start MODEL")
        super().__init__(recipe, data)
        check_cells(self.tokenizer, "a control")
        self.feeder = None  # the pictures of control are made here
        check_one_shape(self.source.shards["train"], "control")
        self.model.eval().requires_grad_(False)
        self.control = self._begin_control(recipe)
        known = {
            "tokenizer": self.model.config.tokenizer,
            "decoder": weights_digest(part_folder(recipe.start, "decoder")),
        }
        self.control.config = self.control.config.model_copy(update=known)
        self.unseen, self.guessed = recipe.unseen, recipe.guessed
        self.drawn, self.fitting_weight = recipe.drawn, recipe.fitting_weight
        self.times = torch.tensor(recipe.times)
        self.coarsest, self.shares = recipe.coarsest, np.array(recipe.shares) / sum(recipe.shares)
        self.networks: dict[str, nn.Module] = {"model": self.control}

    def _begin_control(self, recipe: ControlRecipe) -> ControlNetwork:
        """The control that the recipe starts from, or a new one.

        Raises:
            RecipeError: the one that it starts from belongs to another decoder.
            ModelError: it can't be read.
        """
        if not recipe.control:
            return ControlNetwork.for_decoder(self.model, recipe.depth)
        made, own = ControlNetwork.load(part_folder(recipe.control, "control")), self.model.config
        if any(getattr(made.config, name) != getattr(own, name) for name in ("patch", "width", "codebook_size")):
            raise RecipeError(
                f"{recipe.control} is no control of this decoder", "start from another one, or leave control out"
            )
        return made.train().requires_grad_()

    def validation(self, number: int, size: int) -> None:
        """None: a lower flow loss would not mean a better control."""

    def to(self, device: torch.device) -> None:
        """Move the perceptual network and the decoder to the device."""
        super().to(device)
        self.model.to(device)

    def batch(self, step: int, size: int) -> Any:
        indices = self.source.order.batch(step, size)
        rng = np.random.default_rng((self.recipe.loop.seed, 4, step))
        kinds, batch = rng.choice(len(controls.KINDS), size, p=self.shares), self.source.load("train", indices)
        scenes = [self.source.shards["train"].sample(index) for index in indices.tolist()]
        return self._controlled(batch, scenes, kinds, self.coarsest ** rng.random(size))

    def _controlled(
        self, batch: Coded, scenes: Sequence[Sample], kinds_B: np.ndarray, coarse_B: np.ndarray
    ) -> Controlled:
        """Pictures with control pictures that are made from them."""
        taken = []
        of_each = zip(to_array(batch.pixels), scenes, kinds_B.tolist(), coarse_B.tolist(), strict=True)
        for picture, scene, kind, coarse in of_each:
            name = controls.KINDS[kind]
            if name == "edges":
                taken.append(controls.lit(controls.edges(picture, coarse)))
            elif name == "layout":
                boxes = [placed.box for placed in scene.objects]
                taken.append(controls.lit(controls.layout(boxes, picture.shape[0])))
            else:
                taken.append(controls.colour(picture))
        return Controlled(*batch, to_tensor(np.stack(taken)), torch.from_numpy(kinds_B))

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        device = batch.pixels.device
        B, h, w = batch.codes.shape
        blind_B = torch.rand(B, generator=generator, device=device) < self.unseen
        # As in a draft: some rows of codes are known, and may be wrong, and all that follow are predicted.
        known_B = w * torch.randint(h, (B,), generator=generator, device=device)
        known_Bhw = mask_tail(self.spoil(batch.codes, self.control.config.codebook_size, generator), known_B)
        open_BN = torch.arange(h * w, device=device) >= known_B[:, None]
        fits_BNK = self.control.code_logits(batch.control, torch.where(blind_B, NOTHING, batch.kind), known_Bhw).float()
        fitting = F.cross_entropy(fits_BNK[open_BN], batch.codes.flatten(1)[open_BN])
        drawn = max(1, round(self.drawn * B))
        pixels, codes, picture, kind = (part[:drawn] for part in batch)
        codes = self._guess(codes, fits_BNK[:drawn].detach(), generator)
        time = self.times.to(device)[torch.randint(len(self.times), (len(codes),), generator=generator, device=device)]
        noise = torch.randn(pixels.shape, generator=generator, device=device)
        noisy = torch.lerp(noise, pixels, time[:, None, None, None])
        clean = self.model(noisy, time, codes, self.control(picture, kind, codes)).float()
        error = (clean - pixels).square().mean()
        judged, parts = self._judge(clean, pixels)
        parts = {"square": error.detach(), "fitting": fitting.detach(), **parts}
        return error + judged + self.fitting_weight * fitting, parts

    def _guess(self, codes_Bhw: Tensor, fits_BNK: Tensor, generator: torch.Generator) -> Tensor:
        """Codes of which a random share is replaced by others that fit as well."""
        device = codes_Bhw.device
        # The argmax of logits with Gumbel noise is a sample from their softmax.
        noise_BNK = torch.rand(fits_BNK.shape, generator=generator, device=device)
        drawn_BN = (fits_BNK - (-noise_BNK.clamp(1e-9).log()).log()).argmax(-1)
        share_B11 = self.guessed * torch.rand(len(codes_Bhw), 1, 1, generator=generator, device=device)
        chances_Bhw = torch.rand(codes_Bhw.shape, generator=generator, device=device)
        return torch.where(chances_Bhw < share_B11, drawn_BN.view(codes_Bhw.shape), codes_Bhw)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Pictures; their edges; rendered from codes half of which only fit the edges, with these edges and without."""
        chosen = shown(self.source.shards["val"])
        if not len(chosen):
            return
        scenes = [self.source.shards["val"].sample(index) for index in chosen.tolist()]
        kinds, coarse = np.zeros(len(chosen), np.int64), np.ones(len(chosen))
        wanted = self._controlled(self.source.load("val", chosen), scenes, kinds, coarse)
        fits = self.control.code_logits(wanted.control, wanted.kind, torch.full_like(wanted.codes, MASK_CODE))
        codes = self._guess(wanted.codes, fits, torch.Generator().manual_seed(0)).numpy()
        seeds, painter = chosen.tolist(), as_decoder(self.model)
        control_residuals = TorchControl(self.control)(wanted.control.numpy(), 0, codes)
        few = {"steps": 4, "sampler_name": "consistency"}
        rows = [
            sample(painter, codes, seeds, **few, control_residuals_2BND=control_residuals),
            sample(painter, codes, seeds, **few),
        ]
        save_sheet(folder / f"{step:06d}.png", [*map(to_array, (wanted.pixels, wanted.control)), *map(to_bytes, rows)])

    def export(self, folder: Path) -> None:
        """Write the control as a model directory keeps it."""
        self.control.save(folder)


def emoji() -> ControlRecipe:
    """The shipped decoder's, from a model (``--start MODEL``).

    On one CPU core: 38 pictures/s, 53 minutes.
    """
    recipe = decoder.further()
    loop = recipe.loop.model_copy(update={"steps": 2500, "batch_size": 48, "lr": 1.5e-3, "decay_fraction": 0.5})
    return ControlRecipe(**recipe.model_dump(exclude={"loop"}), loop=loop)


def further() -> ControlRecipe:
    """Continues from a trained control (``--start MODEL --set control=MODEL``), mostly to predict which codes fit.

    On two CPU cores without AVX-512: 28 pictures/s, 40 minutes. The loss of which codes fit should end near 1.7.
    """
    recipe = emoji()
    changes = {"steps": 1300, "lr": 1e-3, "warmup_steps": 60, "decay_fraction": 0.6}
    recipe.drawn, recipe.loop = 0.0625, recipe.loop.model_copy(update=changes)
    return recipe


def debug() -> ControlRecipe:
    """In seconds, from the decoder of the recipe of that name."""
    return ControlRecipe(**decoder.debug().model_dump(), depth=1)


RECIPES = {"emoji": emoji, "further": further, "debug": debug}
