"""What a transformers config.json says of a language model, and which ones the forward passes here compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lantu.errors import ModelError


@dataclass(frozen=True)
class Sizes:
    """Of a Qwen3 or Llama.

    Attributes:
        normed: queries and keys are normalised (Qwen3).
        tied: the head is the embedding.
        rope_base: of the rotary angles (arXiv:2104.09864).
    """

    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    eps: float
    rope_base: float
    normed: bool
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Sizes":
        """Read them.

        Raises:
            ModelError: the architecture is another, or a setting is missing.
        """
        check(config)
        try:
            heads = config["num_attention_heads"]
            return cls(
                layers=config["num_hidden_layers"],
                width=config["hidden_size"],
                heads=heads,
                key_value_heads=config.get("num_key_value_heads") or heads,
                head_width=config.get("head_dim") or config["hidden_size"] // heads,
                eps=config["rms_norm_eps"],
                rope_base=(config.get("rope_parameters") or config)["rope_theta"],
                normed=config["model_type"] == "qwen3",
                tied=config.get("tie_word_embeddings", False),
            )
        except KeyError as problem:
            raise ModelError(f"the language model lacks {problem}", "give a complete directory") from problem

    def rotation(self, length: int) -> np.ndarray:
        """(2, length, K/2) float32: cosine and sine of the rotary angles of the first positions."""
        half = np.arange(0, self.head_width, 2, dtype=np.float32) / self.head_width
        angles = np.arange(length, dtype=np.float32)[:, None] * np.float32(self.rope_base) ** -half
        return np.stack([np.cos(angles), np.sin(angles)])


def check(config: Mapping[str, Any]) -> None:
    """Refuse what the forward passes do not compute.

    Raises:
        ModelError: the architecture is another.
    """
    unknown = [
        f"{name} {config.get(name)!r}"
        for name, known in {
            "model_type": ("qwen3", "llama"),
            "hidden_act": ("silu",),
            "attention_bias": (None, False),
            "mlp_bias": (None, False),
            "use_sliding_window": (None, False),
        }.items()
        if config.get(name) not in known
    ]
    rope = (config.get("rope_parameters") or {}).get("rope_type", "default")
    if rope != "default" or config.get("rope_scaling"):
        unknown.append(f"rope_type {rope!r}")
    if unknown:
        raise ModelError(f"no drafting with {', '.join(unknown)}", "give a plain Qwen3 or Llama directory")
