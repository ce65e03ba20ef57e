"""Recipes of the image tokenizer."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from lantu.data.order import Order
from lantu.data.shards import Shards
from lantu.images import scale, to_array, to_tensor
from lantu.layers import in_blocks
from lantu.recipes.sheets import save_sheet, shown
from lantu.tokenizer.config import TokenizerConfig
from lantu.tokenizer.discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from lantu.tokenizer.losses import ReconstructionLoss
from lantu.tokenizer.model import ImageTokenizer
from lantu.tokenizer.start import start_from_patches
from lantu.training.config import LoopConfig
from lantu.training.task import Metrics

STARTING = 1000  # pictures from which the codebook is set


class TokenizerRecipe(BaseModel):
    """One way to train an image tokenizer.

    Attributes:
        start: "patches" begins with principal components and k-means (see ``start_from_patches``), "noise" at random.
        frozen: keep the codes of the start, and train the plain decoder alone. Codes of patches taken one by one are
            the same for the same drawing wherever it stands, and the language model can be trained at once.
        quantize_from: the first step that rounds to codes; before it the autoencoder is continuous.
        perceptual: LPIPS network, "alex" or "vgg"; "" for none.
        judged: share of the batch that LPIPS and the vision network see.
        adversarial_weight, adversarial_from: of PatchGAN, and the step at which it starts; 0 weight for none.
    """

    model_config = ConfigDict(extra="forbid")

    model: TokenizerConfig = TokenizerConfig()
    loop: LoopConfig = LoopConfig()
    start: Literal["patches", "noise"] = "patches"
    frozen: bool = True
    quantize_from: int = 0
    perceptual: str = "alex"
    perceptual_weight: float = 0.5
    semantic_weight: float = 0.2
    judged: float = 0.5
    adversarial_weight: float = 0.0
    adversarial_from: int = 0


class Task:
    """Pictures in, pictures out, through codes."""

    def __init__(self, recipe: TokenizerRecipe, data: Path):
        self.recipe = recipe
        self.train, self.val = Shards(data, "train"), Shards(data, "val", or_empty=True)
        self.order = Order(len(self.train), recipe.loop.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            self.model = ImageTokenizer(recipe.model)
            if recipe.start == "patches":
                start_from_patches(self.model, self.batch(0, min(STARTING, len(self.train))))
        if recipe.frozen:
            self.model.freeze_codes()
        self.networks: dict[str, nn.Module] = {"model": self.model}
        if recipe.adversarial_weight:
            self.networks["critic"] = PatchDiscriminator()
        self.judge = ReconstructionLoss(
            perceptual_weight=recipe.perceptual_weight, semantic_weight=recipe.semantic_weight, share=recipe.judged
        )
        if recipe.perceptual and recipe.perceptual_weight:
            from lantu.features.lpips import load_lpips

            self.judge.perceptual = load_lpips(recipe.perceptual)
        if recipe.model.semantic_width and recipe.semantic_weight:
            from lantu.features.efficientnet import load_efficientnet

            self.judge.vision = load_efficientnet()

    def batch(self, step: int, size: int) -> Tensor:
        """(B, C, H, W) in [-1, 1], at the recipe's size."""
        images = self.train.images(self.order.indices(step * size, size))
        return scale(to_tensor(images), self.recipe.model.size, self.recipe.model.size)

    def loss(self, player: str, batch: Tensor, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        playing = bool(self.recipe.adversarial_weight) and step >= self.recipe.adversarial_from
        if player == "critic":
            return self.critic_loss(batch, playing)
        quantizer = self.model.quantizer
        if step <= self.recipe.quantize_from:
            quantizer.open.fill_(step < self.recipe.quantize_from)
        if step == self.recipe.quantize_from > 0 and quantizer.kind == "vq":
            self.start_codebook(step)
        made = self.model(batch)
        loss, parts = self.judge(batch, made)
        if playing:
            fooled = generator_loss(self.networks["critic"](made.pixels))
            loss = loss + self.recipe.adversarial_weight * fooled
            parts["fooled"] = fooled.detach()
        return loss, {**parts, "perplexity": quantizer.perplexity, "used": quantizer.used}

    def critic_loss(self, batch: Tensor, playing: bool) -> tuple[Tensor, Metrics]:
        critic = self.networks["critic"]
        if not playing:
            return torch.zeros(()), {}
        with torch.no_grad():
            made = self.model(batch).pixels
        return discriminator_loss(critic(batch), critic(made)), {}

    @torch.no_grad()
    def start_codebook(self, step: int) -> None:
        """Set the codebook by k-means on the vectors of some batches."""
        size = self.recipe.loop.batch_size
        vectors = [self.model.encoder(self.batch(step + later, size)).flatten(0, 1) for later in range(8)]
        self.model.quantizer.set_codebook(torch.cat(vectors))

    def to(self, device: torch.device) -> None:
        """Bring the judges to where the networks are."""
        for judge in (self.judge.perceptual, self.judge.vision):
            if isinstance(judge, nn.Module):
                judge.to(device)

    hidden = staticmethod(in_blocks)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures above their reconstructions."""
        if not len(chosen := shown(self.val)):
            return
        real = scale(to_tensor(self.val.images(chosen)), self.recipe.model.size, self.recipe.model.size)
        save_sheet(folder / f"{step:06d}.png", [to_array(real), to_array(self.model(real).pixels)])

    def export(self, folder: Path) -> None:
        """Write the tokenizer where a model directory keeps it."""
        self.model.save(folder)


def emoji() -> TokenizerRecipe:
    """The shipped model's: 64 codes of 4,096 for 128 px, set by k-means, then a plain decoder learns to read them.

    On two CPU cores: 20 minutes. PSNR starts at 20 dB and should end above 23.
    """
    return TokenizerRecipe(
        model=TokenizerConfig(size=128, width=256, encoder_layers=0, decoder_layers=6),
        judged=0.25,
        loop=LoopConfig(steps=1500, batch_size=16, lr=1e-3, warmup_steps=100, optimizer="muon", sample_every=300),
    )


def vqvae() -> TokenizerRecipe:
    """A transformer VQ-VAE whose encoder, codebook and decoder are all trained, with vision features as a target."""
    recipe = emoji()
    recipe.model = TokenizerConfig(size=128, width=256, encoder_layers=3, decoder_layers=5)
    recipe.frozen = False
    return recipe


def vqgan() -> TokenizerRecipe:
    """The same with PatchGAN's critic from the second third on."""
    recipe = vqvae()
    recipe.adversarial_weight, recipe.adversarial_from = 0.1, recipe.loop.steps // 3
    return recipe


def fsq() -> TokenizerRecipe:
    """The same on a fixed lattice of 8 x 8 x 8 x 8 codes, from random weights."""
    recipe = vqvae()
    recipe.start = "noise"
    recipe.model = TokenizerConfig(
        size=128, width=256, encoder_layers=3, decoder_layers=5, quantizer="fsq", code_width=4, levels=(8, 8, 8, 8)
    )
    return recipe


def debug() -> TokenizerRecipe:
    """The whole story in seconds: pictures of 32 px, 16 codes."""
    return TokenizerRecipe(
        model=TokenizerConfig(
            size=32,
            patch=8,
            width=64,
            encoder_layers=0,
            decoder_layers=2,
            codebook_size=128,
            code_width=16,
            semantic_width=0,
        ),
        perceptual="",
        loop=LoopConfig(steps=40, batch_size=8, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"debug": debug, "emoji": emoji, "vqvae": vqvae, "vqgan": vqgan, "fsq": fsq}
