"""What a GLM-Image directory's JSON files say, with the libraries' defaults where they say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.models.published.folder import HINT, read_optional
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH
from lantu.weights import arrays
from lantu.weights.architecture import MAX_IDS, MAX_LAYERS, MAX_WIDTH

LANGUAGE, GLYPHS, VAE, TRANSFORMER = "vision_language_encoder", "text_encoder", "vae", "transformer"
PROCESSOR, GLYPH_TOKENIZER, SCHEDULER = "processor", "tokenizer", "scheduler"
MODEL_TYPE, TEXT_TYPE = "glm_image", "glm_image_text"
PATCH = 32  # pixels a side for one code, in the processor of transformers
PREVIEW = 16  # codes a side of the first, small grid of a square picture
TEXT_DEFAULTS: dict[str, Any] = {  # of transformers' GlmImageTextConfig
    "model_type": TEXT_TYPE,
    "vocab_size": 168064,
    "hidden_size": 4096,
    "intermediate_size": 13696,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "vision_vocab_size": 16512,
    "attention_bias": True,
}
TRANSFORMER_DEFAULTS: dict[str, Any] = {  # of diffusers' GlmImageTransformer2DModel
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 30,
    "attention_head_dim": 40,
    "num_attention_heads": 64,
    "text_embed_dim": 1472,
    "time_embed_dim": 512,
    "condition_dim": 256,
    "prior_vq_quantizer_codebook_size": 16384,
}


@dataclass(frozen=True)
class Config:
    """A GLM-Image model's sizes and special tokens.

    Attributes:
        text: of the language model.
        transformer: of the diffusion transformer.
        vae: of its autoencoder.
        glyphs: of the encoder of quoted text.
        generation: how the language model samples, as its makers say.
        boi, eoi: ids that begin and end a picture; they follow the image codes.
    """

    text: Mapping[str, Any]
    transformer: Mapping[str, Any]
    vae: Mapping[str, Any]
    glyphs: Mapping[str, Any]
    generation: Mapping[str, Any]
    boi: int
    eoi: int

    @classmethod
    def read(cls, folder: str | Path) -> "Config":
        """Read the config of each part.

        Raises:
            ModelError: a file can't be read, or a value is missing or out of range.
        """
        folder = Path(folder)
        parts = [arrays.read_config(folder / part) for part in (LANGUAGE, TRANSFORMER, VAE, GLYPHS)]
        return cls.of(*parts, generation=read_optional(folder / LANGUAGE / "generation_config.json"))

    @classmethod
    def of(
        cls,
        language: Mapping[str, Any],
        transformer: Mapping[str, Any],
        vae: Mapping[str, Any],
        glyphs: Mapping[str, Any],
        generation: Mapping[str, Any],
    ) -> "Config":
        """From the content of the files. Raises ModelError."""
        fields = Fields(language, f"{LANGUAGE}/config.json")
        fields.one_of("model_type", (MODEL_TYPE,))
        text = language.get("text_config") or {}
        if not isinstance(text, Mapping):
            fields.refuse("text_config", "an object")
        ids = {"image_start_token_id": 16384, "image_end_token_id": 16385}
        special = Fields(ids | given(language), fields.where)
        made = cls(
            text=TEXT_DEFAULTS | given(text) | {"tie_word_embeddings": False},
            transformer=TRANSFORMER_DEFAULTS | given(transformer),
            vae=vae,
            glyphs=glyphs,
            generation=generation,
            boi=special.whole("image_start_token_id", 1, MAX_IDS),
            eoi=special.whole("image_end_token_id", 1, MAX_IDS),
        )
        made.check()
        return made

    def check(self) -> None:
        """Refuse sizes that don't fit one another, or that nothing here computes. Raises ModelError."""
        text, network = Fields(self.text, f'"text_config" of {LANGUAGE}'), Fields(self.transformer, f"{TRANSFORMER}")
        text.one_of("model_type", (TEXT_TYPE,))
        rows = text.whole("vision_vocab_size", 1, text.whole("vocab_size", 1, MAX_IDS))
        count = self.codebook_size
        if count > min(self.boi, self.eoi) or count > rows:
            what = f"the language model has codes up to {min(self.boi, self.eoi, rows)}, the {TRANSFORMER} {count}"
            raise ModelError(what, HINT)
        network.whole("num_layers", 1, MAX_LAYERS)
        for name in ("in_channels", "out_channels", "attention_head_dim", "num_attention_heads", "text_embed_dim"):
            network.whole(name, 1, MAX_WIDTH)
        vae = Fields(self.vae, VAE)
        channels = vae.whole("latent_channels", 1, MAX_WIDTH)
        if channels != self.transformer["in_channels"] or channels != self.transformer["out_channels"]:
            network.refuse("in_channels", f"like out_channels {channels}, the latent_channels of the {VAE}")
        for name in ("latents_mean", "latents_std"):
            if len(vae.reals(name, -1e6, 1e6)) != channels:
                vae.refuse(name, f"{channels} numbers")
        side = 2 * network.whole("patch_size", 1, MAX_PATCH) * self.latent_factor
        if side != PATCH:
            what = f"a code stands for {side} pixels a side in {TRANSFORMER} and {VAE}, for {PATCH} in the {PROCESSOR}"
            raise ModelError(what, HINT)
        glyphs = Fields(self.glyphs, GLYPHS)
        glyphs.whole("num_layers", 1, MAX_LAYERS)
        if glyphs.whole("d_model", 1, MAX_WIDTH) != self.transformer["text_embed_dim"]:
            glyphs.refuse("d_model", f"text_embed_dim {self.transformer['text_embed_dim']} of the {TRANSFORMER}")
        _ = self.longest

    @property
    def codebook_size(self) -> int:
        """Number of image codes."""
        return Fields(self.transformer, TRANSFORMER).whole("prior_vq_quantizer_codebook_size", 2, MAX_CODES)

    @property
    def longest(self) -> int:
        """Ids that the language model can read and write."""
        return Fields(self.text, f'"text_config" of {LANGUAGE}').whole("max_position_embeddings", 1, MAX_IDS)

    @property
    def latent_factor(self) -> int:
        """Pixels a side of one position of a latent."""
        levels = Fields(self.vae, VAE).wholes("block_out_channels", 1, MAX_WIDTH)
        if not 1 <= len(levels) <= 9:
            raise ModelError(f'"block_out_channels" of {VAE} has {len(levels)} entries', HINT)
        return 2 ** (len(levels) - 1)


def given(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without its nulls."""
    return {key: value for key, value in config.items() if value is not None}
