"""Recipes of the image tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from lantu.data.order import in_turn
from lantu.errors import RecipeError
from lantu.images import fitted, to_array, to_tensor
from lantu.models.lantu.layers import in_blocks
from lantu.models.lantu.tokenizer.codec import Codec
from lantu.models.lantu.tokenizer.codec_files import KIND
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from lantu.models.lantu.tokenizer.losses import ReconstructionLoss
from lantu.models.lantu.tokenizer.model import ImageTokenizer, Reconstruction
from lantu.models.lantu.tokenizer.start import VECTORS_PER_CODE, start_from_patches
from lantu.recipes.caption_alignment import AlignedTokenizer, CaptionWords
from lantu.recipes.caption_vectors import CaptionVectors
from lantu.recipes.more_codes import continue_tokenizer
from lantu.recipes.picture_batches import Changes, PictureBatches, check_one_shape
from lantu.recipes.ranges import Share, Weight
from lantu.recipes.sheets import save_sheet, shown
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.task import Metrics

STARTING = 1000  # pictures from which the codebook is set
SETTLING, ROUNDS = 36, 4  # vectors a code to which it is then fitted, and how often; it would overfit to few
REFITTING = 400  # pictures to which it is fitted again during training
ELSEWHERE = 1 << 24  # the step of these batches: with batches of coming steps, losses would look too good


class TokenizerRecipe(RecipeConfig):
    """How an image tokenizer is trained.

    Attributes:
        start: "patches" starts from principal components and k-means (see ``start_from_patches``), "noise" from random
            weights; a folder (of a run, a model, or the part itself) continues with the tokenizer in it, e.g. with a
            critic, or with a larger codebook (``more_codes``).
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
        refit_every: steps between refits of a learnt codebook, which bring unused codes back; 0 for none.
        codec: folder of a pretrained autoencoder (of diffusers, or a tiny one) whose latents the codes stand for; its
            sizes are written into ``model``. Pictures are neither moved nor tinted then, and their latents are kept in
            memory.
        words: width of vectors of captions that are predicted beside the vision network's features, the last entries of
            ``model.semantic_width``, so that codes say what is said of a picture; 0 for none.
        contrast: weight of a contrast with captions in the place of these vectors: a small text encoder learns beside
            the tokenizer, and the ``words`` entries are aligned with what it makes of captions; 0 for none.
        pixel_weight: of the difference between pixels, or latents.
        painted: share of the batch that a codec's decoder paints for LPIPS; it costs more than all else.
    """

    model: TokenizerConfig = TokenizerConfig()
    start: str = "patches"
    frozen: bool = True
    quantize_from: int = Field(0, ge=0)
    perceptual: str = "alex"
    perceptual_weight: Weight = 0.5
    semantic_weight: Weight = 0.2
    judged: Share = 0.5
    adversarial_weight: Weight = 0.0
    adversarial_from: int = Field(0, ge=0)
    beside: str = ""
    beside_share: float = Field(0.0, ge=0, lt=1)
    moved: int = Field(0, ge=0)
    tinted: float = Field(0.0, ge=0, le=1)
    plain: float = Field(0.0, ge=0, le=1)
    encoder_rate: float = Field(1.0, ge=0)
    encoder_from: int = Field(0, ge=0)
    quantizer_weight: float = Field(1.0, ge=0)
    refit_every: int = Field(0, ge=0)
    codec: str = ""
    words: int = Field(0, ge=0)
    contrast: float = Field(0.0, ge=0)
    pixel_weight: float = Field(1.0, ge=0)
    painted: float = Field(0.0625, gt=0, le=1)

    @model_validator(mode="after")
    def fits(self):
        """Refuse what the kind of codes can't do."""
        if self.refit_every and self.model.quantizer == "fsq":
            raise ValueError("a lattice has no codes to bring back: set refit_every to 0")
        if self.quantize_from >= self.loop.steps:
            raise ValueError(
                "training would end before anything is rounded to codes: set quantize_from below loop.steps"
            )
        if self.contrast and not self.words:
            raise ValueError("a contrast with captions needs the width of its space: set words")
        if self.words and (self.words >= self.model.semantic_width + bool(self.contrast) or self.beside_share):
            raise ValueError(f"vectors of {self.words} for captions need a wider semantic_width, and beside_share 0")
        if self.codec and (self.moved or self.tinted or self.plain or self.beside_share):
            raise ValueError("latents are made once of each picture: set moved, tinted, plain and beside_share to 0")
        return self

    def resumed(self) -> "TokenizerRecipe":
        """Without the start, which takes a minute and would be overwritten."""
        return self.model_copy(update={"start": "noise"})


class Task(training.Task):
    """From pictures to codes and back.

    A batch is pictures (B, C, H, W), or those, a codec's latents of them and the vectors of their captions.
    """

    exported = KIND
    shardable = False

    def __init__(self, recipe: TokenizerRecipe, data: Path):
        self.recipe = recipe
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            codec = Codec(recipe.codec) if recipe.codec else None
            config = sized(recipe.model, codec)
            self.model = ImageTokenizer(config, codec)
            changes = Changes(recipe.moved, recipe.tinted, recipe.plain)
            sizes = (config.size, config.patch, recipe.loop.seed)
            self.source = PictureBatches(data, *sizes, changes, recipe.beside, recipe.beside_share)
            self.pictures = len(self.source.train)
            self.latents: dict[int, Tensor] = {}  # float16, by index
            if config.queries:
                check_one_shape(self.source.train, "a sequence of codes")
            self.words, self.aligned = None, None
            if recipe.words and recipe.contrast:
                self.words = CaptionWords(self.source.train, recipe.loop.seed).check()
                self.val_words = CaptionWords(self.source.val, recipe.loop.seed)
                self.aligned = AlignedTokenizer(self.model, recipe.words)
            elif recipe.words:
                self.words = CaptionVectors(self.source.train, recipe.words)
            # Latents and vectors of captions are added to batches here.
            self.feeder = None if codec or self.words else self.source
            self._begin()
            critic = PatchDiscriminator() if recipe.adversarial_weight else None
        if recipe.frozen:
            self.model.freeze_codes()
        self.networks: dict[str, nn.Module] = {"model": self.aligned or self.model}
        if critic:
            self.networks["critic"] = critic
        self.judge = ReconstructionLoss(
            perceptual_weight=recipe.perceptual_weight,
            semantic_weight=recipe.semantic_weight,
            share=recipe.judged,
            quantizer_weight=recipe.quantizer_weight,
            pixel_weight=recipe.pixel_weight,
        )
        if recipe.perceptual and recipe.perceptual_weight:
            from lantu.features.lpips import load_lpips

            self.judge.perceptual = load_lpips(recipe.perceptual)
        if recipe.model.semantic_width > (recipe.words if self.aligned else 0) and recipe.semantic_weight:
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
            pictures = self.source.squares(count) if shaped else self.batch(0, count)
            start_from_patches(self.model, self._parts(pictures)[1])
            if recipe.refit_every:
                # The start leaves flat patches out; the codebook must cover them, too.
                vectors = self._vectors(ELSEWHERE, self._pictures_for(SETTLING))
                for _ in range(ROUNDS):
                    self.model.quantizer.refit(vectors, training=False)
        elif recipe.start != "noise":
            continue_tokenizer(
                self.model, recipe.start, lambda new: self._vectors(ELSEWHERE, self._pictures_for(SETTLING, new))
            )

    def batch(self, step: int, size: int) -> Any:
        """(B, C, H, W) in [-1, 1], of one shape; pictures of ``beside`` are mixed in at random places."""
        pixels = self.source.batch(step, size)
        if not self.model.codec and not self.words:
            return pixels
        indices = self.source.order.batch(step, size).tolist()
        latents = self._latents(indices, pixels) if self.model.codec else None
        return pixels, latents, self._words(indices, step)

    def _words(self, indices: Sequence[int], step: int) -> Tensor | None:
        """What captions of training pictures say: words, or vectors."""
        if isinstance(self.words, CaptionWords):
            return self.words(indices, step)
        return self.words(indices) if self.words else None

    def _latents(self, indices: Sequence[int], pixels: Tensor) -> Tensor:
        """The codec's latents of training pictures."""
        assert self.model.codec
        if missing := [place for place, index in enumerate(indices) if index not in self.latents]:
            made = torch.cat([self.model.codec.encode(some) for some in pixels[missing].split(16)]).half().cpu()
            self.latents.update(zip([indices[place] for place in missing], made, strict=True))
        return torch.stack([self.latents[index] for index in indices]).float()

    def _parts(self, batch: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """The pictures of a batch, what the encoder sees of them, and the words or the vectors of their captions."""
        pixels, latents, words = batch if isinstance(batch, tuple | list) else (batch, None, None)
        return pixels, self.model.seen(pixels) if latents is None else latents, words

    def _shown(self, made: Reconstruction) -> Tensor:
        """The pixels of a reconstruction; with a codec only of a share of the batch, since its decoder is slow."""
        count = max(1, round(self.recipe.painted * len(made.pixels))) if self.model.codec else None
        return self.model.shown(made.pixels[:count])

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        playing = bool(self.recipe.adversarial_weight) and step >= self.recipe.adversarial_from
        if module == "critic":
            return self._critic_loss(batch, playing)
        quantizer = self.model.quantizer
        if step <= self.recipe.quantize_from:
            quantizer.open.fill_(step < self.recipe.quantize_from)
        if step == self.recipe.quantize_from > 0 and quantizer.kind in ("vq", "following"):
            self._start_codebook(step)
        opened = not self.recipe.frozen and step >= self.recipe.encoder_from
        self.model.encoder.requires_grad_(opened)
        quantizer.frozen = not opened
        pixels, seen, words = self._parts(batch)
        made = self.model.rebuild(seen)
        shown = self._shown(made)
        loss, parts = self._judged(pixels, made, seen, shown, words)
        if playing:
            fooled = generator_loss(self.networks["critic"](shown))
            loss = loss + self.recipe.adversarial_weight * fooled
            parts["fooled"] = fooled.detach()
        return loss, {**parts, "perplexity": quantizer.perplexity, "used": quantizer.used}

    def _judged(
        self, pixels: Tensor, made: Reconstruction, seen: Tensor, shown: Tensor, words: Tensor | None
    ) -> tuple[Tensor, Metrics]:
        """The loss of a reconstruction, with the contrast with captions, and its parts."""
        loss, parts = self.judge(pixels, made, seen, shown, None if self.aligned else words)
        if not self.aligned or words is None or made.features is None:
            return loss, {**parts}
        apart, found = self.aligned.contrast(made.features, words)
        return loss + self.recipe.contrast * apart, {**parts, "contrast": apart.detach(), "retrieved": found}

    def validation(self, number: int, size: int) -> Any:
        """Validation pictures of one shape; those of ``beside`` are mixed in by its share."""
        pixels = self.source.validation(number, size)
        if not self.aligned or pixels is None:
            return pixels
        indices = in_turn(self.source.val.shapes, number, size).tolist()
        return pixels, None, self.val_words(indices, number)

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """The loss of a reconstruction without the critic, and its parts."""
        pixels, seen, words = self._parts(batch)
        made = self.model.rebuild(seen)
        loss, parts = self._judged(pixels, made, seen, self._shown(made), words)
        return {"loss": loss, **{name: value for name, value in parts.items() if name != "quantizer"}}

    def _critic_loss(self, batch: Any, playing: bool) -> tuple[Tensor, Metrics]:
        critic = self.networks["critic"]
        if not playing:
            return torch.zeros(()), {}
        pixels, seen, _ = self._parts(batch)
        with torch.no_grad():
            made = self._shown(self.model.rebuild(seen))
        return discriminator_loss(critic(pixels), critic(made)), {}

    def _start_codebook(self, step: int) -> None:
        """Set the codebook by k-means on the vectors of some batches."""
        count = max(8 * self.recipe.loop.batch_size, self._pictures_for(VECTORS_PER_CODE))
        self.model.quantizer.set_codebook(self._vectors(step, count))

    def _pictures_for(self, vectors: int, codes: int | None = None) -> int:
        """How many pictures have so many vectors for each code, or for each of so many codes."""
        config = self.model.config
        return -(-vectors * (codes or config.codebook_size) // (config.queries or config.grid**2))

    def after_step(self, step: int) -> None:
        """Refit the codebook to the encoder's vectors where that is due."""
        first = max(self.recipe.encoder_from, self.recipe.quantize_from)
        settles = self.recipe.refit_every and not self.recipe.frozen and step >= first
        if settles and (step + 1) % self.recipe.refit_every == 0:
            self.model.quantizer.refit(self._vectors(ELSEWHERE + step, REFITTING))

    @torch.no_grad()
    def _vectors(self, step: int, count: int) -> Tensor:
        """(M, E): the encoder's vectors of about ``count`` pictures (or all, if fewer): the batches from a step."""
        device = next(self.model.parameters()).device
        size = self.recipe.loop.batch_size
        batches = -(-min(count, self.pictures) // size)
        seen = (self._parts(self.batch(step + later, size))[1].to(device) for later in range(batches))
        return torch.cat([self.model.encoder(one).float().flatten(0, 1) for one in seen])

    def to(self, device: torch.device) -> None:
        """Move the codec, the perceptual and the vision network to the device."""
        if self.model.codec:
            self.model.codec.to(device)
        for judge in (self.judge.perceptual, self.judge.vision):
            if isinstance(judge, nn.Module):
                judge.to(device)

    uses_muon = staticmethod(in_blocks)

    def lr_share(self, name: str) -> float:
        """A parameter's share of the learning rate.

        Where the encoder has a rate of its own, its first layer's falls with the number of inputs, thousands, all of
        whose weights Adam moves alike (arXiv:2203.03466); or the vectors would leave their codes within some steps.
        """
        share, name = self.recipe.encoder_rate, name.removeprefix("tokenizer.")
        if share == 1 or not name.startswith(("encoder", "quantizer")):
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


def sized(config: TokenizerConfig, codec: Codec | None) -> TokenizerConfig:
    """The tokenizer's sizes with those of its codec.

    Raises:
        RecipeError: its patch is no multiple of the codec's.
    """
    if codec is None:
        return config
    try:
        return TokenizerConfig(**{**config.model_dump(), **codec.sizes})
    except ValidationError as problem:
        reason = problem.errors()[0]["msg"].removeprefix("Value error, ")
        raise RecipeError(f"the codec in {codec.folder} doesn't fit: {reason}", "set model.patch") from problem


def emoji() -> TokenizerRecipe:
    """The shipped model's: 64 codes of 4,096 for 128 px, set by k-means, then a plain decoder learns to read them.

    On two CPU cores: 20 minutes. PSNR starts at 20 dB and should end above 23.
    """
    return TokenizerRecipe(
        model=TokenizerConfig(size=128, width=256, encoder_layers=0, decoder_layers=6),
        judged=0.25,
        loop=LoopConfig(steps=1500, batch_size=16, lr=1e-3, warmup_steps=100, optimizer="muon", sample_every=300),
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


RECIPES = {"debug": debug, "emoji": emoji}
