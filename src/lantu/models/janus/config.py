"""What a Janus directory's JSON files say, with transformers' defaults where they say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.models.published.folder import HINT, read_optional
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH, MAX_SIDE
from lantu.weights import arrays
from lantu.weights.architecture import MAX_IDS, MAX_WIDTH, Sizes

CONFIG, GENERATION = "config.json", "generation_config.json"
MODEL_TYPE = "janus"
MOST_LAYERS = 1000  # of a part that transformers computes, which builds as many as it is told, even billions
TEXT_DEFAULTS: dict[str, Any] = {  # of transformers' LlamaConfig
    "model_type": "llama",
    "hidden_act": "silu",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION_DEFAULTS: dict[str, Any] = {"image_size": 384, "patch_size": 16, "num_image_tokens": 576}
VQ_DEFAULTS: dict[str, Any] = {
    "embed_dim": 8,
    "num_embeddings": 16384,
    "channel_multiplier": [1, 1, 2, 2, 4],
    "projection_dim": 2048,
    "num_hidden_layers": 2,
    "hidden_act": "gelu",
    "image_token_embed_dim": 2048,
}


@dataclass(frozen=True)
class Config:
    """A Janus model's sizes and special tokens.

    Attributes:
        text: of the language model, a plain Llama.
        vision: of the tower that reads pictures.
        vq: of the image tokenizer, with the embedding and the head of its codes.
        sizes: of the language model.
        tied: the text's head is its embedding, where the file has no head.
        image_token: stands where features of a picture are read.
        bos, eos, pad: special tokens.
        boi: begins a picture; None where only the text tokenizer knows it.
    """

    text: Mapping[str, Any]
    vision: Mapping[str, Any]
    vq: Mapping[str, Any]
    sizes: Sizes
    tied: bool
    image_token: int
    bos: int
    eos: int
    pad: int
    boi: int | None

    @classmethod
    def read(cls, folder: str | Path) -> "Config":
        """Read config.json and generation_config.json.

        Raises:
            ModelError: a file can't be read, or a value is missing or out of range.
        """
        folder = Path(folder)
        return cls.of(arrays.read_config(folder), read_optional(folder / GENERATION))

    @classmethod
    def of(cls, config: Mapping[str, Any], generation: Mapping[str, Any]) -> "Config":
        """From the content of the two files. Raises ModelError."""
        fields = Fields(config, CONFIG)
        fields.one_of("model_type", (MODEL_TYPE,))
        text = TEXT_DEFAULTS | part(config, "text_config")
        vision, vq = VISION_DEFAULTS | part(config, "vision_config"), VQ_DEFAULTS | part(config, "vq_config")
        sizes = Sizes.of(text)
        both = Fields({**special(text), **special(generation)}, GENERATION)
        eos = both.whole("eos_token_id", 0, sizes.ids - 1)
        also = generation.get("generation_kwargs")
        kwargs = Fields(also if isinstance(also, Mapping) else {}, f'"generation_kwargs" of {GENERATION}')
        made = cls(
            text=text,
            vision=vision,
            vq=vq,
            sizes=sizes,
            tied=fields.one_of("tie_word_embeddings", (True, False)) if fields.given("tie_word_embeddings") else True,
            image_token=fields.whole("image_token_id", 0, MAX_IDS) if fields.given("image_token_id") else 100581,
            bos=both.whole("bos_token_id", 0, sizes.ids - 1),
            eos=eos,
            pad=both.whole("pad_token_id", 0, sizes.ids - 1) if both.given("pad_token_id") else eos,
            boi=kwargs.whole("boi_token_id", 0, sizes.ids - 1) if kwargs.given("boi_token_id") else None,
        )
        made.check()
        return made

    def check(self) -> None:
        """Refuse sizes that don't fit one another, or that nothing here computes. Raises ModelError."""
        vq = Fields(self.vq, f'"vq_config" of {CONFIG}')
        vq.one_of("hidden_act", ("gelu",))
        for name in ("projection_dim", "image_token_embed_dim"):
            vq.whole(name, 1, MAX_WIDTH)
        for name in ("projection_dim", "image_token_embed_dim"):
            if self.vq[name] != self.sizes.width:
                vq.refuse(name, f"the language model's width {self.sizes.width}")
        vq.whole("num_hidden_layers", 1, 100)
        vision = Fields(self.vision, f'"vision_config" of {CONFIG}')
        for fields, name in ((vision, "num_hidden_layers"), (vision, "depth"), (vq, "num_res_blocks")):
            if fields.given(name):
                fields.whole(name, 1, MOST_LAYERS)
        _ = self.codebook_size, self.code_width, self.patch, self.longest
        if self.vision["num_image_tokens"] != self.grid[0] * self.grid[1]:
            vision.refuse("num_image_tokens", f"{self.grid[0]} x {self.grid[1]}, what image_size and patch_size say")

    @property
    def text_size(self) -> int:
        """Ids of the text; image codes follow them."""
        return self.sizes.ids

    @property
    def longest(self) -> int:
        """Ids that the language model can read and write."""
        fields = Fields(self.text, f'"text_config" of {CONFIG}')
        return fields.whole("max_position_embeddings", 1, MAX_IDS)

    @property
    def codebook_size(self) -> int:
        """Number of image codes."""
        return Fields(self.vq, f'"vq_config" of {CONFIG}').whole("num_embeddings", 2, MAX_CODES)

    @property
    def code_width(self) -> int:
        """Width of a code's vector in the VQ codebook."""
        return Fields(self.vq, f'"vq_config" of {CONFIG}').whole("embed_dim", 1, MAX_WIDTH)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes: Janus draws one size."""
        fields = Fields(self.vision, f'"vision_config" of {CONFIG}')
        patch = fields.whole("patch_size", 1, MAX_PATCH)
        side = fields.whole("image_size", patch, MAX_PATCH * MAX_SIDE) // patch
        return side, side

    @property
    def patch(self) -> int:
        """Pixels a side that the VQ decoder paints for one code."""
        multipliers = Fields(self.vq, f'"vq_config" of {CONFIG}').wholes("channel_multiplier", 1, 1024)
        if not 1 <= len(multipliers) <= 9:
            raise ModelError(f'"channel_multiplier" of {CONFIG} has {len(multipliers)} entries', HINT)
        return 2 ** (len(multipliers) - 1)


def part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A nested config without its nulls, {} where there is none. Raises ModelError."""
    value = config.get(name) or {}
    if not isinstance(value, Mapping):
        Fields(config, CONFIG).refuse(name, "an object")
    return {key: entry for key, entry in value.items() if entry is not None}


def special(config: Mapping[str, Any]) -> dict[str, Any]:
    """The special tokens that a config names; the first of several ends of a text."""
    found = {name: config.get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    if isinstance(found["eos_token_id"], list) and found["eos_token_id"]:
        found["eos_token_id"] = found["eos_token_id"][0]
    return {name: value for name, value in found.items() if value is not None}
