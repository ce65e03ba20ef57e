"""What an Emu3 directory's JSON files say, with transformers' defaults where they say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import Fields
from lantu.models.published.folder import HINT, read_optional
from lantu.tokens.vocabulary import MAX_CODES
from lantu.types import MAX_GRID
from lantu.weights import arrays
from lantu.weights.architecture import MAX_IDS, MAX_WIDTH, Sizes

CONFIG, MODEL_TYPE = "config.json", "emu3"
END_OF_ROW = "<|extra_200|>"
VISUAL = "<|visual token {:06d}|>"
AREA = 518_400  # pixels of a picture where config.json names no image_area: 720x720
MOST_LAYERS = 1000  # of a part that transformers computes, which builds as many as it is told, even billions
TEXT_DEFAULTS: dict[str, Any] = {  # of transformers' Emu3TextConfig
    "vocab_size": 184622,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_act": "silu",
    "max_position_embeddings": 9216,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
}
VQ_DEFAULTS: dict[str, Any] = {  # of Emu3VQVAEConfig
    "codebook_size": 32768,
    "embed_dim": 4,
    "base_channels": 256,
    "channel_multiplier": [1, 2, 2, 4],
    "num_res_blocks": 2,
    "temporal_downsample_factor": 4,
}
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Config:
    """An Emu3 model's sizes and ids.

    Attributes:
        text: of the language model, as a plain Llama has it.
        vq: of the image tokenizer.
        sizes: of the language model.
        first_code: the id of image code 0; the others follow.
        end_of_row: the id that stands behind each row of codes.
        area: pixels of the pictures that it was trained on.
        mean, std: by which pixels in [0, 1] were normalised, for each channel.
    """

    text: Mapping[str, Any]
    vq: Mapping[str, Any]
    sizes: Sizes
    first_code: int
    end_of_row: int
    area: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, folder: str | Path) -> "Config":
        """Read config.json and the picture processor's file.

        Raises:
            ModelError: a file can't be read, or a value is missing or out of range.
        """
        folder = Path(folder)
        return cls.of(arrays.read_config(folder), read_processor(folder))

    @classmethod
    def of(cls, config: Mapping[str, Any], processor: Mapping[str, Any]) -> "Config":
        """From the content of the two files. Raises ModelError."""
        fields = Fields(config, CONFIG)
        fields.one_of("model_type", (MODEL_TYPE,))
        tied = fields.given("tie_word_embeddings") and fields.one_of("tie_word_embeddings", (True, False))
        text = TEXT_DEFAULTS | part(config, "text_config")
        text |= {"model_type": "llama", "tie_word_embeddings": tied}  # which is what it computes
        sizes, vq = Sizes.of(text), VQ_DEFAULTS | part(config, "vq_config")
        codebook_size = Fields(vq, f'"vq_config" of {CONFIG}').whole("codebook_size", 2, MAX_CODES)
        first, end = ids_of(config, codebook_size, sizes.ids)
        stats = Fields({"image_mean": CLIP_MEAN, "image_std": CLIP_STD, **processor}, "the picture processor's file")
        made = cls(
            text=text,
            vq=vq,
            sizes=sizes,
            first_code=first,
            end_of_row=end,
            area=fields.whole("image_area", 1, 1 << 32) if fields.given("image_area") else AREA,
            mean=three(stats, "image_mean", -10),
            std=three(stats, "image_std", 1e-3),
        )
        made.check()
        return made

    def check(self) -> None:
        """Refuse sizes that nothing here computes. Raises ModelError."""
        vq = Fields(self.vq, f'"vq_config" of {CONFIG}')
        for name, most in (("num_res_blocks", 100), ("temporal_downsample_factor", 64), ("base_channels", MAX_WIDTH)):
            vq.whole(name, 1, most)
        _ = self.patch, self.longest, self.grid

    @property
    def longest(self) -> int:
        """Ids that the language model can read and write."""
        return Fields(self.text, f'"text_config" of {CONFIG}').whole("max_position_embeddings", 1, MAX_IDS)

    @property
    def codebook_size(self) -> int:
        """Number of image codes."""
        return self.vq["codebook_size"]

    @cached_property
    def patch(self) -> int:
        """Pixels a side that the VQ decoder paints for one code."""
        multipliers = Fields(self.vq, f'"vq_config" of {CONFIG}').wholes("channel_multiplier", 1, 1024)
        if not 1 <= len(multipliers) <= 9:
            raise ModelError(f'"channel_multiplier" of {CONFIG} has {len(multipliers)} entries', HINT)
        return 2 ** (len(multipliers) - 1)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Height and width in codes of a square picture of the area that it was trained on."""
        side = round(self.area**0.5 / self.patch)
        if not 1 <= side <= MAX_GRID:
            raise ModelError(f"image_area of {CONFIG} asks for {side} codes a side", HINT)
        return side, side


def ids_of(config: Mapping[str, Any], codebook_size: int, ids: int) -> tuple[int, int]:
    """The ids of image code 0 and of the end of a row, from "vocabulary_map"; codes must follow one another."""
    names = part(config, "vocabulary_map")
    where = f'"vocabulary_map" of {CONFIG}'
    for name in (VISUAL.format(0), END_OF_ROW):
        Fields(names, where).whole(name, 0, ids - 1)
    first = names[VISUAL.format(0)]
    for code in range(codebook_size):
        if names.get(name := VISUAL.format(code)) != first + code:
            Fields(names, where).refuse(name, f"{first + code}: the ids of image codes follow one another")
    if first + codebook_size > ids:
        raise ModelError(f"{where} has the id {first + codebook_size - 1}, the language model {ids} ids", HINT)
    return first, names[END_OF_ROW]


def three(fields: Fields, name: str, least: float) -> tuple[float, ...]:
    """A number for each channel. Raises ModelError."""
    found = fields.reals(name, least, 10)
    if len(found) != 3:
        fields.refuse(name, "three numbers")
    return found


def part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A nested object without its nulls, {} where there is none. Raises ModelError."""
    value = config.get(name) or {}
    if not isinstance(value, Mapping):
        Fields(config, CONFIG).refuse(name, "an object")
    return {key: entry for key, entry in value.items() if entry is not None}


def read_processor(folder: Path) -> dict[str, Any]:
    """What the directory says of its picture processor, {} where it says nothing. Raises ModelError."""
    found = read_optional(folder / "preprocessor_config.json")
    return found or part(read_optional(folder / "processor_config.json"), "image_processor")
