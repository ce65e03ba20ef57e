"""The sizes in a transformers config.json, and the architectures that our forward passes support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lantu.errors import ModelError
from lantu.files.untrusted import Fields, shown

WHERE = "the language model's config.json"
MAX_LAYERS, MAX_WIDTH, MAX_IDS = 1000, 1 << 17, 1 << 24  # far beyond any Qwen3 or Llama


@dataclass(frozen=True)
class Sizes:
    """The sizes of a Qwen3 or Llama.

    Attributes:
        inner: width of the SwiGLU.
        ids: rows of the embedding table.
        normed: queries and keys are normalised (Qwen3).
        tied: the output head is the embedding table.
        rope_base: base of the rotary angles (arXiv:2104.09864).
    """

    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    inner: int
    ids: int
    eps: float
    rope_base: float
    normed: bool
    tied: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Sizes":
        """The sizes that a config describes.

        Raises:
            ModelError: the architecture is not supported, or a field is missing or out of range.
        """
        check(config)
        fields, rope = Fields(config, WHERE), Fields(config.get("rope_parameters") or config, WHERE)
        layers = fields.whole("num_hidden_layers", 1, MAX_LAYERS)
        width = fields.whole("hidden_size", 1, MAX_WIDTH)
        heads = fields.whole("num_attention_heads", 1, MAX_WIDTH)
        shared = fields.given("num_key_value_heads")
        key_value_heads = fields.whole("num_key_value_heads", 1, heads) if shared else heads
        if heads % key_value_heads:
            fields.refuse("num_key_value_heads", f"a divisor of num_attention_heads {heads}")
        head_width = fields.whole("head_dim", 2, MAX_WIDTH) if fields.given("head_dim") else width // heads
        if head_width < 2 or head_width % 2:
            fields.refuse("head_dim", f"an even number (hidden_size {width}, num_attention_heads {heads})")
        if fields.given("layer_types") and len(fields.texts("layer_types")) != layers:
            fields.refuse("layer_types", f"as many as num_hidden_layers, {layers}")
        return cls(
            layers=layers,
            width=width,
            heads=heads,
            key_value_heads=key_value_heads,
            head_width=head_width,
            inner=fields.whole("intermediate_size", 1, MAX_WIDTH),
            ids=fields.whole("vocab_size", 1, MAX_IDS),
            eps=fields.real("rms_norm_eps", 1e-12, 0.1),
            rope_base=rope.real("rope_theta", 1.0, 1e12),
            normed=config["model_type"] == "qwen3",
            tied=fields.given("tie_word_embeddings") and fields.one_of("tie_word_embeddings", (True, False)),
        )

    def rotation(self, length: int) -> np.ndarray:
        """(2, length, K/2) float32: cosine and sine of the rotary angles of the first positions."""
        half = np.arange(0, self.head_width, 2, dtype=np.float32) / self.head_width
        angles = np.arange(length, dtype=np.float32)[:, None] * np.float32(self.rope_base) ** -half
        return np.stack([np.cos(angles), np.sin(angles)])


def check(config: Mapping[str, Any]) -> None:
    """Refuse architectures that our forward passes don't support.

    Raises:
        ModelError: the architecture is not supported.
    """
    unknown = [
        f"{name} {shown(config.get(name))}"
        for name, known in {
            "model_type": ("qwen3", "llama"),
            "hidden_act": ("silu",),
            "attention_bias": (None, False),
            "mlp_bias": (None, False),
            "use_sliding_window": (None, False),
            "rope_scaling": (None,),
            "quantization_config": (None,),
        }.items()
        if not is_one_of(config.get(name), known)
    ]
    rope = config.get("rope_parameters") or {}
    if not isinstance(rope, Mapping) or not set(rope) <= {"rope_type", "rope_theta"}:
        unknown.append(f"rope_parameters {shown(rope)}")
    elif rope.get("rope_type", "default") != "default":
        unknown.append(f"rope_type {shown(rope['rope_type'])}")
    layer_types = config.get("layer_types") or ()
    if not isinstance(layer_types, Sequence) or any(each != "full_attention" for each in layer_types):
        unknown.append(f"layer_types {shown(layer_types)}")
    if unknown:
        raise ModelError(f"can't draft with {', '.join(unknown)}", "give a plain Qwen3 or Llama directory")


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether our forward passes support the language model of a config."""
    try:
        check(config)
    except ModelError:
        return False
    return True


def is_one_of(value: object, known: Sequence[object]) -> bool:
    """Whether a value is among some of the same type, so that 0 is not False."""
    return any(type(value) is type(each) and value == each for each in known)
