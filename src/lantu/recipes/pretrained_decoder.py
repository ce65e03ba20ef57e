"""Recipes of a pretrained diffusion model as decoder (``lantu adopt decoder``): codes take the place of its text.

First the adapter alone, then the adapter and a LoRA, then everything, each from the run before (``--start RUN``). The
loss is the model's own: its parameterisation on its noise schedule, in the latents of its frozen autoencoder.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lantu.data.order import Order
from lantu.data.shards import Shards
from lantu.diffusion.denoising import denoising_loss
from lantu.diffusion.flow import Corruption, replace
from lantu.diffusion.sample import sample
from lantu.errors import RecipeError
from lantu.images import scale, to_array, to_bytes, to_tensor
from lantu.models.diffusers import folder as folders
from lantu.models.diffusers import lora
from lantu.models.diffusers.pretrained import Pretrained
from lantu.models.diffusers.saving import save
from lantu.models.lantu.components import is_pretrained
from lantu.recipes.codes import check_cells, codes_of, load_tokenizer
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.ranges import Share
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.sources import part_folder
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.device import choose_device, has_bf16
from lantu.training.task import Metrics


class PretrainedDecoderRecipe(RecipeConfig):
    """How a pretrained decoder learns to render codes.

    Attributes:
        tokenizer: folder of the image tokenizer whose codes it renders.
        start: the decoder to train: a run, a model directory, or the folder that ``lantu adopt decoder`` wrote.
        trained: the adapter alone; the adapter and a LoRA; or the adapter and the whole network.
        rank: of a new LoRA; one that the decoder has is trained further.
        network_share: learning rate of the network, or of its LoRA, as a share of the adapter's.
        recompute: forget what the network's layers computed and compute it again for gradients: less memory, a third
            slower.
        kept_latents: megabytes of latents that are kept once they are encoded; 0 encodes pictures anew each time.
        dropped, hidden, spoilt, most: how codes are corrupted, see ``Corruption``.
        shown_steps: of the sample sheets.
    """

    tokenizer: str = ""
    start: str = ""
    trained: Literal["adapter", "lora", "all"] = "adapter"
    rank: int = Field(16, ge=1, le=1024)
    network_share: float = Field(0.1, ge=0)
    recompute: bool = False
    kept_latents: int = Field(1024, ge=0)
    dropped: Share = 0.1
    hidden: Share = 0.1
    spoilt: Share = 0.4
    most: Share = 0.2
    shown_steps: int = Field(10, ge=1)


class Batch(NamedTuple):
    """Pictures (B, C, H, W) in [-1, 1], their codes (B, h, w), and their numbers (B) in the data."""

    pixels: Tensor
    codes: Tensor
    numbers: Tensor


class Task(training.Task):
    """Denoising of latents, conditioned on codes."""

    exported = folders.KIND

    recipe: Any  # ``PretrainedDecoderRecipe``, or that of a recipe built on this one

    def __init__(self, recipe: PretrainedDecoderRecipe, data: Path):
        self.recipe = recipe
        self.tokenizer = tokenizer = load_tokenizer(recipe.tokenizer)
        check_cells(tokenizer, "a pretrained decoder")
        self.start = start_folder(recipe.start)
        self.shards = {"train": Shards(data, "train"), "val": Shards(data, "val", or_empty=True)}
        check_one_shape(self.shards["train"], "a pretrained decoder")
        self.grids = {split: codes_of(data, tokenizer, split, or_empty=split == "val") for split in self.shards}
        self.order = Order(len(self.shards["train"]), recipe.loop.seed)
        self.pretrained = self._prepared()
        self.codebook_size = tokenizer.config.codebook_size
        if self.pretrained.config.codebook_size != self.codebook_size:
            what = f"{recipe.start} renders {self.pretrained.config.codebook_size:,} codes, not {self.codebook_size:,}"
            raise RecipeError(what, "name its own tokenizer, or adopt a decoder for this one")
        self.model = self.pretrained.network
        self.networks: dict[str, nn.Module] = {"model": only_trained(self.model)}
        self.spoil = Corruption(recipe.dropped, recipe.hidden, recipe.spoilt, recipe.most)
        self.latents: dict[int, Tensor] = {}

    def _prepared(self) -> Pretrained:
        """The decoder with gradients where it is to learn."""
        return prepared(self.recipe, self.start)

    def _load(self, split: str, indices: np.ndarray) -> Batch:
        """Pictures of a split with their codes."""
        codes = torch.from_numpy(self.grids[split][indices].astype(np.int64))
        height, width = (side * self.pretrained.config.patch for side in codes.shape[1:])
        pixels = scale(to_tensor(self.shards[split].images(indices)), height, width)
        return Batch(pixels, codes, torch.from_numpy(indices.astype(np.int64)))

    def batch(self, step: int, size: int) -> Any:
        """``size`` pictures and their codes: a ``Batch``."""
        return self._load("train", self.order.indices(step * size, size))

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        codes = self.spoil(batch.codes, self.codebook_size, generator)
        x = self._encode(batch)
        pretrained = self.pretrained
        loss = denoising_loss(
            lambda x_t, timestep: self.model(x_t, timestep, codes),
            x,
            pretrained.schedule,
            pretrained.parameterisation,
            generator,
        )
        return loss, {}

    def _encode(self, batch: Any) -> Tensor:
        """The latents of training pictures, or the pictures themselves if the model has no autoencoder.

        Each is encoded alone, so that kept ones and those of a resumed run are the same.
        """
        codec = self.pretrained.codec
        if codec is None:
            return batch.pixels
        found: list[Tensor] = []
        with torch.autocast(batch.pixels.device.type, enabled=False):
            for number, pixels in zip(batch.numbers.tolist(), batch.pixels, strict=True):
                latents = self.latents.get(number)
                if latents is None:
                    latents = codec.encode(pixels[None])[0].clone()
                    if (len(self.latents) + 1) * latents.nbytes <= self.recipe.kept_latents * 1_000_000:
                        self.latents[number] = latents.cpu()
                found.append(latents.to(pixels.device))
        return torch.stack(found)

    def to(self, device: torch.device) -> None:
        """Move the autoencoder to the device."""
        if self.pretrained.codec is not None:
            self.pretrained.codec.to(device)

    def lr_share(self, name: str) -> float:
        """The pretrained network learns more slowly than the adapter."""
        return self.recipe.network_share if name.startswith("network.") else 1.0

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures; rendered from their codes; from codes of which a tenth is wrong."""
        if not len(chosen := shown(self.shards["val"])):
            return
        real, seeds = self._load("val", chosen), chosen.tolist()
        wrong = replace(real.codes, 0.1, self.codebook_size, torch.Generator().manual_seed(0))
        decoder, steps = self.pretrained.decoder(), self.recipe.shown_steps

        def rendered(codes: Tensor) -> np.ndarray:
            pairs = zip(codes.numpy(), seeds, strict=True)
            return np.concatenate([sample(decoder, one[None], [seed], steps) for one, seed in pairs])

        rows = [rendered(codes) for codes in (real.codes, wrong)]
        save_sheet(folder / f"{step:06d}.png", [to_array(real.pixels), *map(to_bytes, rows)])

    def export(self, folder: Path) -> None:
        """Write the decoder as a model directory keeps it."""
        save(self.pretrained, self.start, folder, self.recipe.trained)


def start_folder(start: str) -> Path:
    """The folder of the decoder that is trained.

    Raises:
        RecipeError: none is named, or it is no pretrained one.
        ModelError: it can't be read.
    """
    if not start:
        raise RecipeError("this recipe trains a pretrained decoder", "lantu adopt decoder makes one: --start OUT")
    folder = part_folder(start, "decoder")
    if not is_pretrained(folder):
        raise RecipeError(f"{start} holds a decoder of lantu's own", "train it by another recipe, e.g. further")
    return folder


def prepared(recipe: PretrainedDecoderRecipe, start: Path) -> Pretrained:
    """The decoder with gradients where it is to learn.

    Weights that stay as they are take half the memory on a device that multiplies bfloat16 fast.
    """
    device = choose_device(recipe.loop.device)
    half = recipe.trained != "all" and has_bf16(device) and recipe.loop.precision != "fp32"
    dtype = torch.bfloat16 if half else torch.float32
    pretrained = Pretrained.load(start, dtype=dtype, merged=recipe.trained != "lora")
    pretrained.network.adapter.requires_grad_(True)
    network: Any = pretrained.network.network
    if recipe.trained == "all":
        network.requires_grad_(True)
    if recipe.trained == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            for value in lora.weights(network) or lora.add(network, recipe.rank):
                value.requires_grad_(True)
    if recipe.recompute:
        network.enable_gradient_checkpointing()
    return pretrained


def only_trained(network: nn.Module) -> nn.Module:
    """The same network, whose state dict holds what is trained alone: checkpoints needn't repeat the rest."""
    trained = {name for name, value in network.named_parameters() if value.requires_grad}

    def drop_others(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
        for name in [name for name in state if name.removeprefix(prefix) not in trained]:
            del state[name]

    network.register_state_dict_post_hook(drop_others)
    return network


def adopted() -> PretrainedDecoderRecipe:
    """The adapter of a pretrained decoder, on one GPU.

    Not run here on released weights. Go on with ``--start RUN --set trained=lora``, then ``trained=all``.
    """
    loop = LoopConfig(steps=20_000, batch_size=16, lr=3e-4, warmup_steps=500, weight_decay=0.01, sample_every=1000)
    return PretrainedDecoderRecipe(recompute=True, loop=loop)


def debug() -> PretrainedDecoderRecipe:
    """Seconds, on a tiny pretrained decoder."""
    loop = LoopConfig(steps=40, batch_size=8, warmup_steps=5, precision="fp32", lr=1e-3)
    return PretrainedDecoderRecipe(shown_steps=2, loop=loop)


RECIPES = {"adopted": adopted, "adopted-debug": debug}
