"""Estimates the memory that a model takes, from sizes that its directory declares.

What there is of it: ``free_memory``. What is refused, and what takes turns: ``memory``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

WORDS = 512  # ids of a prompt, beside those of the picture
PACKED = 1.1  # resident bytes of weights a stored byte: packed for the kernels, beside the table that stays mapped
CHANNELS, ALIVE = 128, 4  # of a convolutional decoder at full size: channels, and arrays that are alive at once


@dataclass(frozen=True)
class Memory:
    """Bytes that drawing a picture takes, estimated.

    Attributes:
        language: the weights of the language model.
        caches: its keys and values for the longest draft, with guidance.
        decoder: the weights of the decoder.
        working: arrays while a picture is rendered.
    """

    language: int
    caches: int
    decoder: int
    working: int

    @property
    def drafting(self) -> int:
        """While a picture is drafted."""
        return self.language + self.caches

    @property
    def rendering(self) -> int:
        """While it is rendered."""
        return self.decoder + self.working

    @property
    def together(self) -> int:
        """With both parts loaded."""
        return self.drafting + self.rendering

    @property
    def apart(self) -> int:
        """With one part loaded at a time."""
        return max(self.drafting, self.rendering)

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


def cache_bytes(layers: int, width: int, ids: int, number_bytes: int = 2, sequences: int = 2) -> int:
    """Bytes of keys and values of a draft.

    Args:
        width: of all key heads together.
        ids: of the picture; those of the prompt come on top.
        number_bytes: of one number.
        sequences: 2 with guidance.
    """
    return 2 * layers * width * number_bytes * sequences * (ids + WORDS)


def cached_width(config: Mapping[str, Any]) -> tuple[int, int]:
    """Layers and the width of all key heads that a transformers config.json declares; 0 where it says nothing.

    GPT-2 and its kin have names of their own.
    """
    names = (
        ("num_hidden_layers", "n_layer"),
        ("num_attention_heads", "n_head"),
        ("hidden_size", "n_embd"),
    )  # GPT-2's last
    found = (config.get(name, config.get(old)) for name, old in names)
    layers, heads, width = (value if type(value) is int else 0 for value in found)
    if min(layers, heads, width) <= 0:
        return 0, 0
    shared, head_width = config.get("num_key_value_heads"), config.get("head_dim")
    key_heads = shared if type(shared) is int else heads
    return layers, key_heads * (head_width if type(head_width) is int else width // heads)


def convolution_bytes(width: int, height: int) -> int:
    """Bytes that a convolutional decoder takes at most while it renders a picture of that size in pixels."""
    return width * height * CHANNELS * ALIVE * 4
