"""Recipes of the image tokenizer."""

from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lantu.errors import RecipeError
from lantu.images import fitted, to_array, to_tensor
from lantu.models.lantu.layers import in_blocks
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from lantu.models.lantu.tokenizer.losses import ReconstructionLoss
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.models.lantu.tokenizer.start import start_from_patches
from lantu.recipes.picture_batches import Changes, PictureBatches
from lantu.recipes.sheets import save_sheet, shown
from lantu.recipes.sources import part_folder
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.task import Metrics

STARTING = 1000  # pictures from which the codebook is set
SETTLING, ROUNDS = 3000, 4  # pictures to which it is then fitted, and how often; it would overfit to few pictures
REFITTING = 400  # pictures to which it is fitted again during training
ELSEWHERE = 1 << 24  # the step of these batches: with batches of coming steps, losses would look too good


class TokenizerRecipe(RecipeConfig):
    """How an image tokenizer is trained.

    Attributes:
        start: "patches" starts from principal components and k-means (see ``start_from_patches``), "noise" from random
            weights; a folder (of a run, a model, or the part itself) continues with the tokenizer in it, e.g. with a
            critic.
        frozen: keep the codes of the start, and train the plain decoder alone. Codes of single patches are the same for
            the same drawing at any place, and the language model can be trained at once.
        quantize_from: the first step that quantises; before it the autoencoder is continuous.
        perceptual: LPIPS network, "alex" or "vgg"; "" for none.
        judged: share of the batch that LPIPS and the vision network see.
        adversarial_weight, adversarial_from: weight of PatchGAN, 0 for none, and the step at which it starts.
        beside, beside_share: another data folder, e.g. of photographs, and its share of each batch.
        moved: the most pixels by which pictures are shifted in each direction, with repeated edges; half of them are
            also mirrored. 0 leaves all as they are.
        tinted: share of the pictures that are mixed with a random colour, so that codes cover all colours.
        plain: share of the pictures that give way to one colour, or to a slope between two, so that codes keep the
            exact colours of plain backgrounds.
        encoder_rate: the encoder's share of the learning rate.
        encoder_from: the step from which encoder and codebook are trained; before it the decoder learns to read the
            codes of the start.
        quantizer_weight: of the loss that ties vectors to codes.
        refit_every: steps between refits of a "following" codebook, which bring unused codes back; 0 for none.
    """

    model: TokenizerConfig = TokenizerConfig()
    start: str = "patches"
    frozen: bool = True
    quantize_from: int = 0
    perceptual: str = "alex"
    perceptual_weight: float = 0.5
    semantic_weight: float = 0.2
    judged: float = 0.5
    adversarial_weight: float = 0.0
    adversarial_from: int = 0
    beside: str = ""
    beside_share: float = Field(0.0, ge=0, lt=1)
    moved: int = Field(0, ge=0)
    tinted: float = Field(0.0, ge=0, le=1)
    plain: float = Field(0.0, ge=0, le=1)
    encoder_rate: float = Field(1.0, ge=0)
    encoder_from: int = Field(0, ge=0)
    quantizer_weight: float = Field(1.0, ge=0)
    refit_every: int = Field(0, ge=0)

    @model_validator(mode="after")
    def fits(self):
        """Refuse to refit a codebook that can't be."""
        if self.refit_every and self.model.quantizer != "following":
            raise ValueError(f"a codebook of the kind {self.model.quantizer} doesn't settle: set refit_every to 0")
        return self

    def resumed(self) -> "TokenizerRecipe":
        """Without the start, which takes a minute and would be overwritten."""
        return self.model_copy(update={"start": "noise"})


class Task(training.Task):
    """From pictures to codes and back."""

    def __init__(self, recipe: TokenizerRecipe, data: Path):
        self.recipe = recipe
        changes = Changes(recipe.moved, recipe.tinted, recipe.plain)
        sizes = (recipe.model.size, recipe.model.patch, recipe.loop.seed)
        self.source = PictureBatches(data, *sizes, changes, recipe.beside, recipe.beside_share)
        self.feeder, self.pictures = self.source, len(self.source.train)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            self.model = ImageTokenizer(recipe.model)
            self._begin()
            critic = PatchDiscriminator() if recipe.adversarial_weight else None
        if recipe.frozen:
            self.model.freeze_codes()
        self.networks: dict[str, nn.Module] = {"model": self.model}
        if critic:
            self.networks["critic"] = critic
        self.judge = ReconstructionLoss(
            perceptual_weight=recipe.perceptual_weight,
            semantic_weight=recipe.semantic_weight,
            share=recipe.judged,
            quantizer_weight=recipe.quantizer_weight,
        )
        if recipe.perceptual and recipe.perceptual_weight:
            from lantu.features.lpips import load_lpips

            self.judge.perceptual = load_lpips(recipe.perceptual)
        if recipe.model.semantic_width and recipe.semantic_weight:
            from lantu.features.efficientnet import load_efficientnet

            self.judge.vision = load_efficientnet()

    def _begin(self) -> None:
        """Set the weights from which training starts.

        Raises:
            RecipeError: the tokenizer that the recipe goes on from has other sizes.
            ModelError: there is none.
        """
        recipe = self.recipe
        if recipe.start == "patches":
            count, shaped = min(STARTING, self.pictures), self.source.train.shaped
            start_from_patches(self.model, self.source.squares(count) if shaped else self.batch(0, count))
            if recipe.refit_every:
                # The start leaves flat patches out; the codebook must cover them, too.
                vectors = self._vectors(ELSEWHERE, SETTLING)
                for _ in range(ROUNDS):
                    self.model.quantizer.refit(vectors, training=False)
        elif recipe.start != "noise":
            start = ImageTokenizer.load(part_folder(recipe.start, "tokenizer"))
            if start.config != recipe.model:
                differing = ", ".join(name for name, value in start.config if value != getattr(recipe.model, name))
                raise RecipeError(
                    f"the tokenizer in {recipe.start} has another {differing}", "set model.* to its values"
                )
            self.model.load_state_dict(start.state_dict())

    def batch(self, step: int, size: int) -> Tensor:
        """(B, C, H, W) in [-1, 1], of one shape; pictures of ``beside`` are mixed in at random places."""
        return self.source.batch(step, size)

    def loss(self, module: str, batch: Tensor, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        playing = bool(self.recipe.adversarial_weight) and step >= self.recipe.adversarial_from
        if module == "critic":
            return self._critic_loss(batch, playing)
        quantizer = self.model.quantizer
        if step <= self.recipe.quantize_from:
            quantizer.open.fill_(step < self.recipe.quantize_from)
        if step == self.recipe.quantize_from > 0 and quantizer.kind == "vq":
            self._start_codebook(step)
        opened = not self.recipe.frozen and step >= self.recipe.encoder_from
        self.model.encoder.requires_grad_(opened)
        quantizer.frozen = not opened
        made = self.model(batch)
        loss, parts = self.judge(batch, made)
        if playing:
            fooled = generator_loss(self.networks["critic"](made.pixels))
            loss = loss + self.recipe.adversarial_weight * fooled
            parts["fooled"] = fooled.detach()
        return loss, {**parts, "perplexity": quantizer.perplexity, "used": quantizer.used}

    def validation(self, number: int, size: int) -> Tensor | None:
        """Validation pictures of one shape; those of ``beside`` are mixed in by its share."""
        return self.source.validation(number, size)

    def validation_loss(self, batch: Tensor, generator: torch.Generator) -> Metrics:
        """The loss of a reconstruction without the critic, and its parts."""
        loss, parts = self.judge(batch, self.model(batch))
        return {"loss": loss, **{name: value for name, value in parts.items() if name != "quantizer"}}

    def _critic_loss(self, batch: Tensor, playing: bool) -> tuple[Tensor, Metrics]:
        critic = self.networks["critic"]
        if not playing:
            return torch.zeros(()), {}
        with torch.no_grad():
            made = self.model(batch).pixels
        return discriminator_loss(critic(batch), critic(made)), {}

    def _start_codebook(self, step: int) -> None:
        """Set the codebook by k-means on the vectors of some batches."""
        self.model.quantizer.set_codebook(self._vectors(step, 8 * self.recipe.loop.batch_size))

    def after_step(self, step: int) -> None:
        """Refit the codebook to the encoder's vectors where that is due."""
        settles = self.recipe.refit_every and not self.recipe.frozen and step >= self.recipe.encoder_from
        if settles and (step + 1) % self.recipe.refit_every == 0:
            self.model.quantizer.refit(self._vectors(ELSEWHERE + step, REFITTING))

    @torch.no_grad()
    def _vectors(self, step: int, count: int) -> Tensor:
        """(M, E): the encoder's vectors of about ``count`` pictures (or all, if fewer): the batches from a step."""
        device = next(self.model.parameters()).device
        size = self.recipe.loop.batch_size
        batches = -(-min(count, self.pictures) // size)
        pictures = (self.batch(step + later, size).to(device) for later in range(batches))
        return torch.cat([self.model.encoder(one).float().flatten(0, 1) for one in pictures])

    def to(self, device: torch.device) -> None:
        """Move the perceptual and vision networks to the device."""
        for judge in (self.judge.perceptual, self.judge.vision):
            if isinstance(judge, nn.Module):
                judge.to(device)

    uses_muon = staticmethod(in_blocks)

    def lr_share(self, name: str) -> float:
        """A parameter's share of the learning rate.

        Where the encoder has a rate of its own, its first layer's falls with the number of inputs, thousands, all of
        whose weights Adam moves alike (arXiv:2203.03466); or the vectors would leave their codes within some steps.
        """
        share = self.recipe.encoder_rate
        if share == 1 or name.startswith("decoder"):
            return 1.0
        first = self.model.encoder.patches
        return share * min(1.0, first.out_features / first.in_features) if "encoder.patches" in name else share

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Real pictures above their reconstructions."""
        rows, source = [], self.source
        for shards in (source.val, source.val_beside) if source.beside else (source.val,):
            if len(chosen := shown(shards)):
                shape = source.shape(shards, int(chosen[0]))
                real = fitted(to_tensor(shards.images(chosen.tolist())), *shape)
                rows += [to_array(real), to_array(self.model(real).pixels)]
        if rows:
            save_sheet(folder / f"{step:06d}.png", rows)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as a model directory keeps it."""
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
    """The same, with PatchGAN's critic from the second third on."""
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


def anywhere() -> TokenizerRecipe:
    """For things anywhere: 100 codes of 8,192 for 160 px, each from a window of pixels alone, everything trained.

    Starts as k-means of cells; then encoder, codebook and plain decoder learn together from randomly shifted pictures,
    and unused codes start anew every so often. Mix photographs in with ``--set beside=DIR --set beside_share=0.2``. The
    rate is constant until the last fifth: stop it at any time, and end it with ``--resume --set loop.steps=N``, N a
    quarter more than the steps done.

    On one CPU core: 28 pictures/s, and 22 once the encoder learns. LPIPS of validation scenes should be 0.19 after 500
    steps, 0.178 after 1,500 and 0.162 after 3,000, of photographs 0.372 and 0.339 (``benchmarks/moved.py``).
    """
    return TokenizerRecipe(
        model=TokenizerConfig(
            size=160,
            width=256,
            reach=32,
            encoder_window=1,
            encoder_layers=3,
            decoder_layers=6,
            quantizer="following",
            codebook_size=8192,
            code_width=32,
            semantic_width=0,
        ),
        frozen=False,
        judged=0.25,
        semantic_weight=0,
        moved=16,
        tinted=0.2,
        plain=0.08,
        encoder_rate=0.05,
        encoder_from=1500,
        quantizer_weight=0.1,
        refit_every=400,
        loop=LoopConfig(
            steps=400_000,
            batch_size=16,
            lr=6e-4,
            warmup_steps=100,
            optimizer="muon",
            sample_every=1000,
        ),
    )


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


RECIPES = {"debug": debug, "emoji": emoji, "anywhere": anywhere, "vqvae": vqvae, "vqgan": vqgan, "fsq": fsq}
