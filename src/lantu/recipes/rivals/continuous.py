"""Recipes of continuous models (``lantu.rivals.continuous``): vectors regressed, or drafted by a diffusion head.

    lantu train rival --recipe continuous-regression --data DATA                             as Emu
    lantu train rival --recipe feature-regression --data DATA --tokenizer lantu-emoji        of lantu's features
    lantu train rival --recipe pixel-regression --data DATA                                  patches in, patches out
    lantu train rival --recipe diffusion-head --data DATA --tokenizer lantu-emoji            as MAR
    lantu train rival --recipe diffusion-head-raster --data DATA --tokenizer lantu-emoji     its causal form

Language model, head and decoder are trained in one run, the decoder on the vectors of real pictures.
Shapes: B documents, N ids, n = h·w vectors of a picture, E numbers of one, C H W of pictures, D width, M vectors.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from lantu.data.order import turn
from lantu.diffusion.flow import flow_loss, mask_tail
from lantu.diffusion.sample import sample
from lantu.images import to_array, to_bytes
from lantu.models.lantu.layers import in_blocks
from lantu.recipes.corpus import Corpus
from lantu.recipes.rivals import directory
from lantu.recipes.rivals.vector_drafts import drafts_of
from lantu.recipes.rivals.vectors import Features, Space, VectorPictures
from lantu.recipes.sheets import save_sheet, shown
from lantu.rivals.continuous.config import VectorConfig, VectorDecoderConfig
from lantu.rivals.continuous.decoder import VectorDecoder, as_decoder
from lantu.rivals.continuous.folder import BIDIRECTIONAL, CLASS, CLASSES, KIND
from lantu.rivals.continuous.network import Vectors
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.flops import flops_per_sample
from lantu.training.task import Metrics

CODES = 2  # of the vocabulary, which must have some: they stand where vectors do
MODEL, DECODER = "model", "decoder"


class ContinuousRecipe(RecipeConfig):
    """How a continuous model is trained.

    Attributes:
        tokenizer: folder of the trained image tokenizer, for its features.
        space, head: see ``VectorConfig``.
        pretrained: the vision encoder has its published weights; else random ones, to try a recipe without them.
        order: in which vectors are drafted: "raster", by a stock causal language model, which also captions; or
            "random", many a pass, by a bidirectional transformer.
        passes: of a draft in random order.
        patch: pixels a side of a vector, for pixels; features have their tokenizer's.
        size: pixels a side of the drawings; 0 for the data's own.
        whitened: each axis of the vectors is scaled to a variance of 1; else all by one number, so that squared errors
            are those of the features themselves.
        text_size, width, layers, heads, inner: of the language model, as in ``LanguageRecipe``. In random order heads
            and inner follow from the width.
        captioning, dropped, asked, longest: of its documents, as in ``LanguageRecipe``; no captioning in random order.
        words: weight of the cross-entropy of text, beside the loss of vectors.
        jitter: standard deviation of the noise on the vectors that the language model reads, so that it forgives its
            own errors.
        head_width, head_layers, head_steps, repeats: of a diffusion head, and the times at which each vector is
            denoised in a step of training.
        decoder_width, decoder_layers: of the decoder.
        masked, hidden: shares of pictures of which the decoder sees no vectors, or only the first.
        blurred: the largest standard deviation of the noise on the decoder's vectors, so that it forgives the language
            model's errors.
        mean, spread: of the decoder's noise times, see ``flow_loss``.
        perceptual_weight, judged: of LPIPS beside the decoder's loss, as in ``DecoderRecipe``.
    """

    tokenizer: str = ""
    space: Literal["features", "pixels", "vision"] = "features"
    pretrained: bool = True
    head: Literal["regression", "diffusion"] = "regression"
    order: Literal["raster", "random"] = "raster"
    passes: int = Field(32, ge=1)
    patch: int = Field(16, ge=1)
    size: int = Field(0, ge=0)
    whitened: bool = False
    text_size: int = 2048
    width: PositiveInt = 256
    layers: PositiveInt = 5
    heads: PositiveInt = 4
    inner: PositiveInt = 704
    captioning: float = Field(0.1, ge=0, le=1)
    dropped: float = Field(0.1, ge=0, le=1)
    asked: float = Field(0.35, ge=0, le=1)
    longest: int = Field(128, ge=1)
    words: float = Field(1.0, ge=0)
    jitter: float = Field(0.1, ge=0)
    head_width: PositiveInt = 384
    head_layers: PositiveInt = 3
    head_steps: int = Field(25, ge=1)
    repeats: int = Field(4, ge=1)
    decoder_width: PositiveInt = 256
    decoder_layers: PositiveInt = 6
    masked: float = Field(0.1, ge=0, le=1)
    hidden: float = Field(0.1, ge=0, le=1)
    blurred: float = Field(0.3, ge=0)
    mean: float = -0.8
    spread: float = 1.0
    perceptual_weight: float = Field(0.0, ge=0)
    judged: float = Field(0.25, ge=0, le=1)

    @model_validator(mode="after")
    def fits(self):
        """Check the order against the head, and the heads of attention against the width."""
        if self.order == "raster" and self.width % (2 * self.heads):
            raise ValueError(f"{self.heads} heads can't share a width of {self.width} evenly, in pairs of numbers")
        if self.order == "random" and self.head != "diffusion":
            raise ValueError("vectors in random order need a diffusion head: set head=diffusion")
        return self


class Task(training.Task):
    """From words to vectors, back, and from vectors to pixels."""

    shardable = False

    exported = KIND

    def __init__(self, recipe: ContinuousRecipe, data: Path):
        self.recipe = recipe
        self.space = space = Space.of(recipe, data)
        self.pictures = VectorPictures(data, space, recipe.loop.seed)
        codec = bpe.train(self.pictures.texts(), recipe.text_size)
        self.vocabulary = Vocabulary(codec.size, CODES)
        encoding = codec, self.vocabulary, recipe.longest, recipe.asked, recipe.loop.seed
        self.corpus, self.held = Corpus(self.pictures, *encoding), None
        if len(self.pictures.val):
            held = VectorPictures(data, space, recipe.loop.seed, "val")
            self.held = Corpus(held, *encoding)
        self.notes = self.corpus.notes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            vectors = Vectors(self._config())
            vectors.mean.copy_(space.mean_E)
            vectors.scale.copy_(space.scale_E)
            self.drafts, self._vectors = drafts_of(recipe, self.vocabulary, space), vectors
            self.model = nn.ModuleDict({"language": self.drafts.network, "vectors": vectors})
            self.networks: dict[str, nn.Module] = {MODEL: self.model}
            if space.renders:
                self.decoder = self._decoder()
                self.networks[DECODER] = self.decoder
        self.perceptual = None
        if space.renders and recipe.perceptual_weight:
            from lantu.features.lpips import load_lpips

            self.perceptual = load_lpips("alex")
        self.flops_per_sample = flops_per_sample(self)

    def _config(self) -> VectorConfig:
        recipe, space = self.recipe, self.space
        return VectorConfig(
            space=recipe.space,
            head=recipe.head,
            patch=space.patch,
            channels=len(space.mean_E),
            width=recipe.width,
            inner=recipe.head_width,
            layers=recipe.head_layers,
            steps=recipe.head_steps,
            reach=space.reach,
            levels=space.levels,
            tokenizer=space.eye.digest,
        )

    def _decoder(self) -> VectorDecoder:
        """A new decoder, starting as the tokenizer's plain one where there is one as wide."""
        recipe, space = self.recipe, self.space
        sizes: dict[str, int] = {"width": recipe.decoder_width, "layers": recipe.decoder_layers, "patch": space.patch}
        config = VectorDecoderConfig(**sizes, vector_width=len(space.mean_E), tokenizer=space.eye.digest)
        decoder, eye = VectorDecoder(config), space.eye
        if isinstance(eye, Features) and eye.tokenizer.config.width == recipe.decoder_width:
            decoder.start_from_plain(eye.tokenizer.decoder.state_dict(), space.mean_E, space.scale_E)
        return decoder

    def batch(self, step: int, size: int) -> dict[str, Tensor]:
        """See ``_documents``."""
        indices = self.pictures.order.indices(step * size, size).tolist()
        return self._documents(self.corpus, indices, step * size, self.recipe.dropped)

    def _documents(self, corpus: Corpus, indices: Sequence[int], first: int, dropped: float) -> dict[str, Tensor]:
        """What ``Drafts.documents`` has, and the pictures: vectors (B, n, E), pixels (B, C, H, W)."""
        pictures: Any = corpus.pictures
        pixels_BCHW = pictures.pixels(indices)
        batch = self.drafts.documents(corpus, indices, first, dropped)
        return batch | {"vectors": self.space.vectors(pixels_BCHW), "pixels": pixels_BCHW}

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Of vectors and text, or of the decoder's pixels."""
        if module == DECODER:
            return self._render(batch, generator)
        return self.drafts.loss(self._vectors, batch, generator)

    def _render(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The loss of pictures from their own vectors, some of them noisy or missing: of the flow, and LPIPS."""
        loss, clean = self._flow(batch["pixels"], self._spoilt(batch["vectors"], generator), generator)
        if self.perceptual is None:
            return loss, {"flow": loss.detach()}
        judged = max(1, round(self.recipe.judged * len(clean)))
        distance = self.perceptual(clean[:judged].float(), batch["pixels"][:judged]).mean()
        total = loss + self.recipe.perceptual_weight * distance
        return total, {"flow": loss.detach(), "lpips": distance.detach()}

    def _flow(self, pixels_BCHW: Tensor, vectors_BhwE: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return flow_loss(self.decoder, pixels_BCHW, vectors_BhwE, generator, self.recipe.mean, self.recipe.spread)

    def _spoilt(self, vectors_BnE: Tensor, generator: torch.Generator) -> Tensor:
        """Vectors (B, h, w, E) with noise; NaN where they are masked: see ``lantu.diffusion.flow.Corruption``."""
        recipe, (B, n, E) = self.recipe, vectors_BnE.shape

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=vectors_BnE.device)

        noise = torch.randn(vectors_BnE.shape, generator=generator, device=vectors_BnE.device)
        noisy_BhwE = (vectors_BnE + recipe.blurred * draw(B, 1, 1) * noise).view(B, *self.space.grid, E)
        first_B = torch.where(draw(B) < recipe.hidden, (draw(B) * n).long(), n)
        known_B = torch.where(draw(B) < recipe.masked, 0, first_B)
        known_Bhw = mask_tail(torch.zeros_like(noisy_BhwE[..., 0], dtype=torch.long), known_B) == 0
        return torch.where(known_Bhw[..., None], noisy_BhwE, torch.nan)

    def validation(self, number: int, size: int) -> Any:
        """Documents of the validation pictures, in the order of the data."""
        if self.held is None:
            return None
        indices = turn(number, size, len(self.held.samples))
        return self._documents(self.held, indices, number * size, 0.0) if indices else None

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """The losses of language model and decoder, added."""
        loss, metrics = self.drafts.loss(self._vectors, batch, generator)
        if DECODER in self.networks:
            vectors_BhwE = batch["vectors"].unflatten(1, self.space.grid)
            flow, _ = self._flow(batch["pixels"], vectors_BhwE, generator)
            loss, metrics = loss + flow, {**metrics, "flow": flow}
        return {"loss": loss, **metrics}

    def to(self, device: torch.device) -> None:
        """Move the perceptual network."""
        if self.perceptual is not None:
            self.perceptual.to(device)

    def uses_muon(self, name: str, parameter: Tensor) -> bool:
        """Matrices between hidden layers: of blocks in the decoder, and of the language model."""
        if name.startswith("blocks."):
            return in_blocks(name, parameter)
        return name.startswith("language.") and self.drafts.uses_muon(name.removeprefix("language."), parameter)

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Validation pictures, and what is rendered of their own vectors: the ceiling of every drawing."""
        if DECODER not in self.networks or not len(chosen := shown(self.pictures.val)):
            return
        pixels_BCHW = self.pictures.of_split("val").pixels(chosen.tolist())
        vectors_BhwE = self.space.vectors(pixels_BCHW).unflatten(1, self.space.grid).numpy()
        places_Bhw = np.arange(vectors_BhwE[..., 0].size).reshape(vectors_BhwE.shape[:3])
        drawn = sample(as_decoder(self.decoder, vectors_BhwE), places_Bhw, chosen.tolist(), 8)
        save_sheet(folder / f"{step:06d}.png", [to_array(pixels_BCHW), to_bytes(drawn)])

    def export(self, folder: Path) -> None:
        """Write a complete model directory."""
        parts: dict[str, directory.Part] = {
            "language": lambda place: self.drafts.save(place, self.corpus.codec),
            "vectors": self._vectors.save,
        }
        if self.space.renders:
            parts |= {self.space.eye.part: self.space.eye.written(), "decoder": self.decoder.save}
        diffuses, shuffles = self.recipe.head == "diffusion", self.recipe.order == "random"
        draw = {"guidance": 2.0 if diffuses else 1.0, "temperature": 0.9 if diffuses else 1.0}
        if shuffles:  # the authors' README has 2.9 to 3.2, rising along the picture, at temperature 1
            draw = {"guidance": 3.0, "temperature": 1.0}
        classes = CLASSES | ({"language": BIDIRECTIONAL} if shuffles else {})
        index = {"_class_name": CLASS, **{part: classes[part] for part in parts}, "draw": draw}
        names = (name for name, make_ in RECIPES.items() if alike(make_(), self.recipe))
        other = "diffusion-head" if shuffles else "diffusion-head-raster"  # of pixels, which is no recipe of its own
        name = next(names, other)
        directory.write(folder, KIND, index, parts, name, self.flops_per_sample)


def alike(one: ContinuousRecipe, other: ContinuousRecipe) -> bool:
    """Whether two recipes are of the same system."""
    return (one.space, one.head, one.order) == (other.space, other.head, other.order)


def loop() -> LoopConfig:
    """As of lantu's own parts."""
    return LoopConfig(
        steps=3000, batch_size=32, lr=3e-3, warmup_steps=150, decay_fraction=0.3, optimizer="muon", sample_every=500
    )


def regression() -> ContinuousRecipe:
    """Emu's way: 18.4M parameters, of which 9.3M are the decoder's; the vision encoder is frozen.

    The decoder begins with nothing, and with no image tokenizer to train it has that one's budget as well.
    """
    return ContinuousRecipe(
        space="vision", width=320, layers=7, heads=5, inner=896, decoder_layers=9, perceptual_weight=0.3, loop=loop()
    )


def features() -> ContinuousRecipe:
    """Emu's loss on lantu's own features, so that the codebook is all that differs: 12.2M parameters beside the
    tokenizer's 5.7M, about as many as lantu's three parts together.
    """
    return ContinuousRecipe(layers=7, perceptual_weight=0.3, loop=loop())


def pixels() -> ContinuousRecipe:
    """Patches of pixels in, patches of pixels out: a language model as large as lantu's three parts together."""
    return ContinuousRecipe(space="pixels", width=448, layers=7, heads=7, inner=1216, loop=loop())


def head() -> ContinuousRecipe:
    """MAR's way in its best form: 13.6M parameters beside the tokenizer's 5.7M, 2.8M of them the head's."""
    return raster_head().model_copy(update={"order": "random"})


def raster_head() -> ContinuousRecipe:
    """A diffusion head behind a stock causal language model, which also captions: as many parameters."""
    return ContinuousRecipe(head="diffusion", whitened=True, jitter=0.0, perceptual_weight=0.3, loop=loop())


def debug(recipe: ContinuousRecipe) -> ContinuousRecipe:
    """In seconds."""
    small: dict[str, Any] = {"text_size": 300, "width": 64, "layers": 2, "heads": 2, "inner": 192}
    small |= {
        "head_width": 64,
        "head_layers": 2,
        "head_steps": 8,
        "decoder_width": 32,
        "decoder_layers": 1,
        "patch": 8,
        "blurred": 0.1,
        "passes": 6,
        "pretrained": False,
        "perceptual_weight": 0.0,
    }
    small["loop"] = LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32")
    return recipe.model_copy(update=small)


FULL = {
    "continuous-regression": regression,
    "feature-regression": features,
    "pixel-regression": pixels,
    "diffusion-head": head,
    "diffusion-head-raster": raster_head,
}
RECIPES: dict[str, Callable[[], ContinuousRecipe]] = {
    **FULL,
    **{f"{name}-debug": partial(lambda make: debug(make()), make) for name, make in FULL.items()},
}
