"""Text encoder and external diffusion (``lantu.rivals.latent_diffusion``).

    lantu train rival --recipe autoencoder --data DATA -o runs/autoencoder
    lantu train rival --recipe text-encoder-diffusion --data DATA --set autoencoder=runs/autoencoder

The autoencoder may be any of diffusers' or of the TAESD family; the latents of the data are made once and kept beside
it. Text encoder and UNet are trained together. Shapes: B pictures, N tokens of a prompt, C channels, H W latents.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from lantu.data.order import turn
from lantu.data.shards import read_index
from lantu.diffusion.denoising import denoising_loss
from lantu.engine.drafting import draft
from lantu.files import write_json, writing
from lantu.models.diffusers.scheduler import read_scheduler
from lantu.models.diffusers.vae import TINY, codec_class
from lantu.recipes.corpus import Corpus, Pictures
from lantu.recipes.picture_batches import check_one_shape
from lantu.recipes.rivals import directory
from lantu.recipes.rivals.autoencoder import LatentTokenizer, groups_of
from lantu.recipes.sheets import save_captioned, shown_captions
from lantu.recipes.sources import autoencoder_folder
from lantu.rivals.latent_diffusion.denoising import DenoisingDrafter
from lantu.rivals.latent_diffusion.folder import KIND
from lantu.rivals.latent_diffusion.layout import DenoisingRequest
from lantu.rivals.latent_diffusion.names import CLASS
from lantu.rivals.latent_diffusion.network import LatentDenoiser
from lantu.rivals.latent_diffusion.prompts import Prompts
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.training import task as training
from lantu.training.config import LoopConfig, RecipeConfig
from lantu.training.flops import flops_per_sample
from lantu.training.task import Metrics

GUIDANCE, STEPS = 3.0, 20  # of the sheets of samples
INDEX = {
    "_class_name": CLASS,
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
}
PREDICTION = {"eps": "epsilon", "v": "v_prediction"}
GROUP = 4  # channels that are normalised together
AROUND = 16  # ids that the words of a request take beside the caption


class DiffusionRecipe(RecipeConfig):
    """How text encoder and denoiser are trained.

    Attributes:
        autoencoder: a run of the recipe "autoencoder", or a folder of an autoencoder.
        text_size: ids of the byte-level BPE, trained on this data's captions.
        text_width, text_layers, text_heads: of the text encoder.
        text_length: ids of a prompt, with its ends.
        widths: channels of each level of the UNet; every level but the first halves both sides.
        depth: residual blocks of a level, each with a transformer that reads the text.
        head: width of an attention head.
        steps: of denoising, that a drawing takes unless it is told otherwise.
        parameterisation: what is predicted, see ``lantu.diffusion.parameterisations``.
        dropped: share of pictures that are learnt with an empty prompt, which guidance needs.
        asked: share of captions that are worded as requests, see ``lantu.data.asking``.
    """

    autoencoder: str = ""
    text_size: int = 2048
    text_width: PositiveInt = 256
    text_layers: PositiveInt = 4
    text_heads: PositiveInt = 4
    text_length: int = Field(64, ge=4)
    widths: tuple[PositiveInt, ...] = Field((96, 160, 192), min_length=1)
    depth: int = Field(1, ge=1)
    head: int = Field(32, ge=1)
    steps: int = Field(30, ge=1)
    parameterisation: Literal["eps", "v", "flow"] = "v"
    dropped: float = Field(0.1, ge=0, le=1)
    asked: float = Field(0.35, ge=0, le=1)

    @model_validator(mode="after")
    def fits(self):
        """Check the heads of the text encoder against its width."""
        if self.text_width % self.text_heads:
            raise ValueError(f"{self.text_heads} text_heads don't divide a text_width of {self.text_width}")
        return self


class Task(training.Task):
    """From prompts and noisy latents to latents."""

    shardable = False

    exported = KIND

    def __init__(self, recipe: DiffusionRecipe, data: Path):
        self.recipe, self.data = recipe, data
        self.place = autoencoder_folder(recipe.autoencoder)
        self.tokenizer = tokenizer_of(self.place, int(read_index(data)["size"]))
        self.latent = self.tokenizer.latent
        self.pictures = Pictures(data, self.tokenizer, recipe.loop.seed)
        check_one_shape(self.pictures.shards, "this rival")
        codec = bpe.train(self.pictures.texts(), recipe.text_size)
        self.prompts = Prompts(codec, recipe.text_length)
        self.corpus = self._corpus(self.pictures)
        self.notes = self.corpus.notes
        self.schedule, self.parameterisation = read_scheduler(self._scheduler())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.loop.seed)
            self.model = nn.ModuleDict({"unet": self._unet(), "text_encoder": self._text_encoder()})
        self.networks = {"model": self.model}
        self.flops_per_sample = flops_per_sample(self)

    def _corpus(self, pictures: Pictures) -> Corpus:
        recipe, vocabulary = self.recipe, Vocabulary(self.prompts.codec.size, self.tokenizer.codebook_size)
        longest = max(1, recipe.text_length - 2 - AROUND)
        return Corpus(pictures, self.prompts.codec, vocabulary, longest, recipe.asked, recipe.loop.seed)

    @cached_property
    def _held(self) -> Corpus | None:
        """The pictures that are kept for validation."""
        if not len(self.pictures.val):
            return None
        return self._corpus(Pictures(self.data, self.tokenizer, self.recipe.loop.seed, "val"))

    def _scheduler(self) -> dict[str, Any]:
        """The scheduler_config.json of a sampler that suits what is predicted."""
        import diffusers

        classes: dict[str, Any] = {"flow": diffusers.FlowMatchEulerDiscreteScheduler, "": diffusers.DDIMScheduler}
        if self.recipe.parameterisation == "flow":
            made = classes["flow"]()
        else:
            made = classes[""](
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                prediction_type=PREDICTION[self.recipe.parameterisation],
                timestep_spacing="trailing",
                clip_sample=False,
                steps_offset=1,
            )
        return json.loads(made.to_json_string())

    def _unet(self) -> Any:
        from diffusers import UNet2DConditionModel

        recipe, levels = self.recipe, len(self.recipe.widths)
        return UNet2DConditionModel(
            sample_size=self.pictures.grid[0] // self.latent.side,
            in_channels=self.latent.channels,
            out_channels=self.latent.channels,
            block_out_channels=recipe.widths,
            down_block_types=("CrossAttnDownBlock2D",) * levels,
            up_block_types=("CrossAttnUpBlock2D",) * levels,
            layers_per_block=recipe.depth,
            cross_attention_dim=recipe.text_width,
            attention_head_dim=tuple(max(1, width // recipe.head) for width in recipe.widths),
            norm_num_groups=groups_of(recipe.widths, GROUP),
        )

    def _text_encoder(self) -> Any:
        from transformers import CLIPTextConfig, CLIPTextModel

        recipe = self.recipe
        return CLIPTextModel(
            CLIPTextConfig(
                vocab_size=self.prompts.size,
                hidden_size=recipe.text_width,
                intermediate_size=4 * recipe.text_width,
                num_hidden_layers=recipe.text_layers,
                num_attention_heads=recipe.text_heads,
                max_position_embeddings=recipe.text_length,
                projection_dim=recipe.text_width,
                bos_token_id=self.prompts.special("bos"),
                eos_token_id=self.prompts.special("eos"),
                pad_token_id=self.prompts.special("pad"),
            )
        )

    def batch(self, step: int, size: int) -> dict[str, Tensor]:
        """latents (B, C, H, W) and ids (B, N)."""
        indices = self.corpus.order.indices(step * size, size).tolist()
        return self._batch(self.corpus, indices, step * size, self.recipe.dropped)

    def _batch(self, corpus: Corpus, indices: Sequence[int], first: int, dropped: float) -> dict[str, Tensor]:
        ids = []
        for place, index in enumerate(indices, first):
            rng = np.random.default_rng((self.recipe.loop.seed, 1, place))
            empty = rng.random() < dropped
            caption, language = corpus.caption(index, rng)
            text = "" if empty or not caption else corpus.request(caption, language, rng)
            ids.append(self.prompts.padded(corpus.encode(text) if text else []))
        codes_Bhw = np.stack([corpus.grids[index] for index in indices]).astype(np.int64)
        return {"latents": torch.from_numpy(self.latent.unpack(codes_Bhw)), "ids": torch.tensor(ids)}

    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Mean squared error of what is predicted."""
        context_BND = self.model["text_encoder"](input_ids=batch["ids"]).last_hidden_state

        def predict(x_t_BCHW: Tensor, timestep_B: Tensor) -> Tensor:
            return self.model["unet"](x_t_BCHW, timestep_B, encoder_hidden_states=context_BND, return_dict=False)[0]

        return denoising_loss(predict, batch["latents"], self.schedule, self.parameterisation, generator), {}

    def validation(self, number: int, size: int) -> dict[str, Tensor] | None:
        """Validation pictures with their captions."""
        corpus = self._held
        if corpus is None:
            return None
        indices = turn(number, size, len(corpus.samples))
        return self._batch(corpus, indices, number * size, 0.0) if indices else None

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """At the same times with the same noise in each validation."""
        return {"loss": self.loss("model", batch, 0, generator)[0]}

    @torch.no_grad()
    def sample(self, step: int, folder: Path) -> None:
        """Validation pictures above what is drawn of one caption of each, in alternating languages."""
        val = self.pictures.val
        if not (captions := shown_captions(val)):
            return
        grid, empty = self.pictures.grid, self.prompts.padded([])
        requests = [
            DenoisingRequest(
                self.prompts.padded(self.corpus.encode(caption)),
                (range(self.tokenizer.codebook_size),),
                limit=grid[0] * grid[1],
                seed=index,
                unconditional=empty,
                guidance=GUIDANCE,
                steps=min(STEPS, self.recipe.steps),
                grid=grid,
            )
            for index, caption in captions.items()
        ]
        denoiser = LatentDenoiser(self.model["unet"], self.model["text_encoder"], self.schedule, self.parameterisation)
        drafts = draft(DenoisingDrafter(denoiser, self.latent, max_drafts=len(requests)), requests)
        drawn = self.tokenizer.paint(np.array(drafts).reshape(-1, *grid))
        save_captioned(folder, step, val, captions, drawn)

    def export(self, folder: Path) -> None:
        """Write the model directory."""
        config, tiny = self._scheduler(), codec_class(self.place) == TINY
        vae = TINY if tiny else json.loads((self.place / "config.json").read_text("utf-8"))["_class_name"]
        library = "lantu.models.diffusers.tiny_autoencoder" if tiny else "diffusers"
        import diffusers

        index = {
            **INDEX,
            "draw": {"guidance": GUIDANCE, "steps": self.recipe.steps},
            "_diffusers_version": diffusers.__version__,
            "vae": [library, vae],
            "scheduler": ["diffusers", config["_class_name"]],
        }
        parts: dict[str, directory.Part] = {
            "text_encoder": lambda place: saved(self.model["text_encoder"], place),
            "tokenizer": self.prompts.save,
            "unet": lambda place: saved(self.model["unet"], place),
            "vae": self.place,
            "scheduler": lambda place: write_json(place / "scheduler_config.json", config),
        }
        directory.write(folder, KIND, index, parts, "text-encoder-diffusion", self.flops_per_sample)


def tokenizer_of(folder: Path, size: int) -> LatentTokenizer:
    """The autoencoder in a folder as a tokenizer. Raises ModelError."""
    from lantu.models.diffusers.vae import load_codec

    return LatentTokenizer(load_codec(folder), folder, size)


def saved(module: Any, folder: Path) -> None:
    """Write a module of transformers or diffusers as its library does. Raises DiskError."""
    with writing(folder):
        module.save_pretrained(folder, max_shard_size="14MB")


def text_encoder_diffusion() -> DiffusionRecipe:
    """17.7M parameters, 18.4M with the autoencoder of its recipe: as many as lantu's three parts together.

    Muon for matrices, AdamW for convolutions: after 308 updates a validation loss of 0.415, where AdamW alone at 6e-4
    has 0.424 (docs/log.md).
    """
    return DiffusionRecipe(
        loop=LoopConfig(
            steps=6000,
            batch_size=16,
            lr=1e-3,
            warmup_steps=200,
            decay_fraction=0.3,
            optimizer="muon",
            sample_every=1000,
        )
    )


def debug() -> DiffusionRecipe:
    """In seconds."""
    return DiffusionRecipe(
        text_size=300,
        text_width=32,
        text_layers=1,
        text_heads=2,
        text_length=32,
        widths=(16, 32),
        head=16,
        steps=4,
        loop=LoopConfig(steps=60, batch_size=16, lr=3e-3, warmup_steps=5, precision="fp32"),
    )


RECIPES = {"text-encoder-diffusion": text_encoder_diffusion, "text-encoder-diffusion-debug": debug}
