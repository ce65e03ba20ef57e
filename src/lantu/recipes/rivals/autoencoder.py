"""The autoencoder of a latent diffusion: diffusers' ``AutoencoderKL``, trained on the data's pictures.

    lantu train rival --recipe autoencoder --data DATA -o runs/autoencoder

As in latent diffusion (arXiv:2112.10752, appendix G): pixels, a perceptual distance (LPIPS) and a slight
Kullback-Leibler penalty; no adversary, which small sizes do not repay. Pixels count by absolute and squared error, as
in lantu's own tokenizer, since the absolute one alone stays long at the median colour. The run exports a folder that
diffusers opens. Shapes: B pictures, C channels, H W pixels.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from lantu.data.order import Order, turn
from lantu.data.shards import Shards, read_index
from lantu.diffusion.arrays import to_numpy
from lantu.diffusion.decoder import LatentCodec
from lantu.diffusion.latent_codes import LEVELS, LatentCodes
from lantu.files import WEIGHTS, FolderKind, replacing_folder, sha256, write_json, writing
from lantu.images import to_array, to_tensor
from lantu.models.diffusers.folder import PUBLISHED
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.ranges import Share
from lantu.recipes.rivals.autoencoder_start import narrow, start_as_means
from lantu.recipes.sheets import save_sheet, shown
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.flops import flops_per_sample
from lantu.training.task import Metrics

KIND = FolderKind("an autoencoder", ("config.json",), (*WEIGHTS.files, *PUBLISHED))
GROUP = 8  # channels that are normalised together: fewer would lose the colour of flat pictures
MEASURED = 256  # pictures by which latents are scaled to unit variance


class AutoencoderRecipe(RecipeConfig):
    """How an autoencoder is trained.

    Attributes:
        widths: channels of each level; every level but the first halves both sides.
        depth: residual blocks of a level.
        channels: of the latents.
        kl: weight of the Kullback-Leibler penalty.
        perceptual: weight of LPIPS; 0 for none.
        judged: share of the batch on which LPIPS is computed.
    """

    widths: tuple[PositiveInt, ...] = Field((8, 16, 32, 64), min_length=1)
    depth: int = Field(1, ge=1)
    channels: int = Field(4, ge=1)
    kl: float = Field(1e-6, ge=0)
    perceptual: float = Field(0.5, ge=0)
    judged: Share = 0.5


class Task(training.Task):
    """Pictures → latents → pictures."""

    shardable = False

    exported = KIND

    def __init__(self, recipe: AutoencoderRecipe, data: Path):
        import diffusers

        kinds: dict[str, Any] = {"AutoencoderKL": diffusers.AutoencoderKL}
        self.recipe, self.shards = recipe, Shards(data, "train")
        self.val = Shards(data, "val", or_empty=True)
        check_one_shape(self.shards, "an autoencoder")
        self.order = Order(len(self.shards), recipe.loop.seed)
        levels = len(recipe.widths)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            self.model = kinds["AutoencoderKL"](
                block_out_channels=recipe.widths,
                down_block_types=("DownEncoderBlock2D",) * levels,
                up_block_types=("UpDecoderBlock2D",) * levels,
                layers_per_block=recipe.depth,
                latent_channels=recipe.channels,
                norm_num_groups=groups_of(recipe.widths, GROUP),
                sample_size=int(read_index(data)["size"]),
                scaling_factor=1.0,
            )
            start_as_means(self.model, recipe.channels)
            narrow(self.model.quant_conv, recipe.channels)
        self.networks = {"model": self.model}
        self.judge: Any = None
        if recipe.perceptual:
            from lantu.features.lpips import load_lpips

            self.judge = load_lpips("alex")
        self.flops_per_sample = flops_per_sample(self)

    def batch(self, step: int, size: int) -> Tensor:
        """Pictures (B, C, H, W) in [-1, 1]."""
        return to_tensor(self.shards.images(self.order.indices(step * size, size)))

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Of a picture and of what came back of it."""
        posterior = self.model.encode(batch).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator, device=batch.device)
        return self._judged(batch, self.model.decode(posterior.mean + posterior.std * noise).sample, posterior)

    def _judged(self, true: Tensor, made: Tensor, posterior: Any) -> tuple[Tensor, Metrics]:
        error = made.float() - true
        squared = error.square().mean()
        loss = error.abs().mean() + squared + self.recipe.kl * posterior.kl().mean() / true[0].numel()
        metrics: Metrics = {"psnr": 10 * torch.log10(4 / squared.detach())}
        if self.judge is not None:
            judged = max(1, round(self.recipe.judged * len(true)))
            distance = self.judge(made[:judged].float(), true[:judged]).mean()
            loss, metrics["lpips"] = loss + self.recipe.perceptual * distance, distance.detach()
        return loss, metrics

    def to(self, device: torch.device) -> None:
        """Move the judge."""
        if self.judge is not None:
            self.judge.to(device)

    def validation(self, number: int, size: int) -> Tensor | None:
        """Validation pictures."""
        indices = turn(number, size, len(self.val))
        return to_tensor(self.val.images(indices)) if indices else None

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """Through the likeliest latents."""
        posterior = self.model.encode(batch).latent_dist
        loss, metrics = self._judged(batch, self.model.decode(posterior.mode()).sample, posterior)
        return {"loss": loss, **metrics}

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Validation pictures above what came back of them."""
        if not len(self.val):
            return
        real = to_tensor(self.val.images(shown(self.val))).to(self.model.device)
        made = self.model.decode(self.model.encode(real).latent_dist.mode()).sample
        save_sheet(folder / f"{step:06d}.png", [to_array(real), to_array(made)])

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Write diffusers' folder, with the scale that gives latents unit variance (arXiv:2112.10752, appendix G)."""
        count = min(MEASURED, len(self.shards))
        chunks = [list(range(start, min(start + 16, count))) for start in range(0, count, 16)]
        pictures = (to_tensor(self.shards.images(chunk)).to(self.model.device) for chunk in chunks)
        latents = torch.cat([self.model.encode(each).latent_dist.mode().flatten() for each in pictures])
        scaling = float(1 / latents.float().std().clamp_min(1e-6))
        with replacing_folder(folder, KIND) as temporary, writing(folder):
            self.model.save_pretrained(temporary)
            config = json.loads((temporary / "config.json").read_text("utf-8"))
            write_json(temporary / "config.json", config | {"scaling_factor": scaling})


def groups_of(widths: Sequence[int], channels: int) -> int:
    """In how many groups layers of all these widths can be normalised, of about so many channels or more."""
    shared = math.gcd(*widths)
    return max(
        count for count in range(1, shared + 1) if shared % count == 0 and count <= max(1, min(widths) // channels)
    )


class LatentTokenizer:
    """An autoencoder as ``lantu.recipes.codes.Tokenizer``: the numbers of a latent are the codes.

    Args:
        folder: of the autoencoder, whose files name the codes.
        size: pixels a side of the pictures.
    """

    codebook_size = LEVELS

    def __init__(self, codec: LatentCodec, folder: Path, size: int):
        self.codec, self.folder, self.size = codec, folder, size
        self.latent = LatentCodes(codec.channels, codec.factor)

    def codes_digest(self) -> str:
        """The SHA-256 of the autoencoder's files and of the size."""
        own = sha256(*sorted(path for path in self.folder.iterdir() if path.suffix in (".json", ".safetensors")))
        return hashlib.sha256(f"{own} {self.size}".encode()).hexdigest()

    def encode(self, pixels_BCHW: Tensor) -> Tensor:
        """Pictures in [-1, 1] → the numbers of their latents (B, h, w) int64."""
        return torch.from_numpy(self.latent.pack(to_numpy(self.codec.encode(pixels_BCHW))))

    def paint(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """The numbers of latents → (B, H, W, 3) uint8."""
        return to_array(torch.from_numpy(to_numpy(self.codec.decode(self.latent.unpack(codes_Bhw)))).clamp(-1, 1))


def autoencoder() -> AutoencoderRecipe:
    """0.7M parameters, 8 pixels a side of a latent, 4 channels, as Stable Diffusion's.

    Nearly all of its operations are at full resolution, so it is narrow, and batches are small: of equal operations,
    many small updates gave the best pictures (docs/log.md).
    """
    return AutoencoderRecipe(
        loop=LoopConfig(steps=12000, batch_size=2, lr=1e-3, warmup_steps=100, decay_fraction=0.3, sample_every=2000)
    )


def debug() -> AutoencoderRecipe:
    """In seconds: 4 pixels a side of a latent."""
    return AutoencoderRecipe(
        widths=(8, 16, 16),
        perceptual=0.0,
        loop=LoopConfig(steps=60, batch_size=8, lr=5e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"autoencoder": autoencoder, "autoencoder-debug": debug}
