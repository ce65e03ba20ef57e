"""What recipes share that teach a pretrained decoder to render in few steps.

They work on latents, by the model's own parameterisation and schedule. With ``trained="lora"`` the model is in memory
once, and the result is the same decoder with a small file more, which diffusers reads. Shapes: B batch, h w grid.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from lantu.diffusion.decoder import DiffusionDecoder
from lantu.diffusion.distillation import Network, guided
from lantu.diffusion.sample import sample
from lantu.errors import RecipeError
from lantu.images import to_array, to_bytes
from lantu.models.diffusers import lora
from lantu.models.diffusers.folder import LORA
from lantu.models.diffusers.path import StraightPath
from lantu.models.diffusers.pretrained import Pretrained, PretrainedDenoiser
from lantu.models.diffusers.saving import save
from lantu.recipes import pretrained_decoder
from lantu.recipes.pretrained_decoder import PretrainedDecoderRecipe
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.variants import Copies, LoRAVariants, LoRAWeights, Variants
from lantu.training.config import LoopConfig
from lantu.training.device import choose_device, has_bf16

STUDENT = "student"
Scale = Annotated[float, Field(ge=0, le=100)]


class PretrainedStepsRecipe(PretrainedDecoderRecipe):
    """How a pretrained decoder, which ``start`` names, learns to render in few steps.

    More in ``PretrainedDecoderRecipe``.

    Attributes:
        trained: a LoRA of all layers in the network's blocks; or everything, the adapter too, for which several copies
            of the model must fit into memory.
        guidance: least and most; the student learns what the teacher renders with a scale between them, drawn for each
            picture, and needs no guidance itself.
        shown_steps: of the teacher, on the sample sheets.
    """

    trained: Literal["adapter", "lora", "all"] = "lora"
    rank: int = Field(64, ge=1, le=1024)
    network_share: float = Field(1.0, ge=0)
    guidance: tuple[Scale, Scale] = (1.0, 2.0)
    shown_steps: int = Field(20, ge=1)

    @field_validator("guidance")
    @classmethod
    def in_order(cls, guidance: tuple[float, float]) -> tuple[float, float]:
        """Refuse scales whose least is above the most."""
        if guidance[0] > guidance[1]:
            raise ValueError("the least guidance comes first, then the most")
        return guidance


class Task(pretrained_decoder.Task):
    """Latents with their codes, and versions of one network.

    Args:
        names: of the versions beside the teacher; the first is ``STUDENT``.
    """

    variants: Variants

    def __init__(self, recipe: PretrainedStepsRecipe, data: Path, names: tuple[str, ...]):
        self.names = names
        super().__init__(recipe, data)
        grid = self.grids["train"].shape[1:]
        _, height, width = self.pretrained.decoder().noise_shape(*grid)
        self.path = StraightPath(self.pretrained.schedule, self.pretrained.parameterisation, height * width)

    def _prepared(self) -> Pretrained:
        """The decoder, a LoRA that it has merged into its weights, and its versions."""
        recipe = self.recipe
        if recipe.trained == "adapter":
            raise RecipeError("this recipe trains lora or all", "choose one of them: --set trained=lora")
        device = choose_device(recipe.loop.device)
        half = recipe.trained == "lora" and has_bf16(device) and recipe.loop.precision != "fp32"
        pretrained = Pretrained.load(self.start, dtype=torch.bfloat16 if half else torch.float32)
        network: Any = pretrained.network
        if recipe.recompute:
            network.network.enable_gradient_checkpointing()
        if recipe.trained == "all":
            self.variants = Copies(network, self.names)
        else:
            self.variants = LoRAVariants(network, self.names, recipe.rank, recipe.loop.seed)
        return pretrained

    def to(self, device: torch.device) -> None:
        """Move the autoencoder and the teacher to the device."""
        super().to(device)
        self.model.to(device)

    def _predict(self, name: str | None) -> Network:
        """A version's clean estimates on the straight path. One whose gradient is needed is called last."""

        def estimate(x_BCHW: Tensor, time_B: Tensor, codes_Bhw: Tensor) -> Tensor:
            return self.path.clean(self.variants.use(name))(x_BCHW, time_B, codes_Bhw)

        return estimate

    def _teacher(self, codes_Bhw: Tensor, generator: torch.Generator) -> Network:
        """The teacher's estimates, each picture's with a guidance scale of its own."""
        least, most = self.recipe.guidance
        if least == most == 1:
            return self._predict(None)
        chance_B = torch.rand(len(codes_Bhw), generator=generator, device=codes_Bhw.device)
        return guided(self._predict(None), least + (most - least) * chance_B)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures; the teacher's in many steps; the student's in 4 and in 1."""
        if not len(chosen := shown(self.shards["val"])):
            return
        real, rows, pretrained = self._load("val", chosen), [], self.pretrained
        many = (None, self.recipe.shown_steps, "euler")
        for name, steps, sampler in (many, (STUDENT, 4, "consistency"), (STUDENT, 1, "consistency")):
            how = (pretrained.config.patch, pretrained.parameterisation, pretrained.schedule, pretrained.codec)
            decoder = DiffusionDecoder(PretrainedDenoiser(self.variants.use(name)), *how)
            rows.append(sample(decoder, real.codes.numpy(), chosen.tolist(), steps, sampler_name=sampler))
        save_sheet(folder / f"{step:06d}.png", [to_array(real.pixels), *map(to_bytes, rows)])

    def export(self, folder: Path) -> None:
        """Write the decoder with the student's LoRA, beside one that it already had, or with the student's weights."""
        student = self.variants.module(STUDENT)
        if not isinstance(student, LoRAWeights):
            save(replace(self.pretrained, network=self.variants.use(STUDENT)), self.start, folder, "all")
            return
        save(self.pretrained, self.start, folder, "adapter")
        before: dict[str, Tensor] = {}
        if (self.start / LORA).is_dir():
            before = lora.state(Pretrained.load(self.start, merged=False).network.network)
        lora.save(self.model.network, folder / LORA, lora.joined(before, student.state()))


def loop(**changes: Any) -> LoopConfig:
    """The loop's settings of these recipes."""
    usual: dict[str, Any] = {"steps": 4000, "batch_size": 12, "lr": 1e-4, "warmup_steps": 100, "weight_decay": 0.0}
    settings: dict[str, Any] = usual | {"ema_decay": 0.99, "ema_every": 1} | changes
    return LoopConfig(**settings)
