"""The sizes in a transformers config.json, and the architectures that our forward passes support."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from lantu.errors import ModelError
from lantu.files.untrusted import Fields, shown
from lantu.weights import rotary
from lantu.weights.rotary import Rotary

WHERE = "the language model's config.json"
MAX_LAYERS, MAX_WIDTH, MAX_IDS = 1000, 1 << 17, 1 << 24  # far beyond any model of today
SILU, GELU = {"silu": "silu"}, {"gelu": "gelu", "gelu_pytorch_tanh": "gelu"}  # Gemma's "gelu" is the approximation
OFF = (None, False)


@dataclass(frozen=True)
class Architecture:
    """In what a model_type of transformers differs from Llama.

    Attributes:
        activations: hidden_act → activation of ``lantu.kernels.Shape``.
        normed: queries and keys are normalised.
        biased: queries, keys and values have biases; None where attention_bias says so.
        offset: norms multiply by 1 + weight.
        scaled: embeddings are multiplied by the root of their width.
        post_norms: what attention and feed-forward add is normalised too.
        fused: gate and up are one tensor.
        sections: positions have three axes, and these are their sections unless config.json says otherwise.
        head_ids: the field with the number of rows of the head, where it is not that of the embedding.
        defaults: of fields that a config.json may lack.
    """

    activations: Mapping[str, str] = field(default_factory=lambda: SILU)
    normed: bool = False
    biased: bool | None = False
    offset: bool = False
    scaled: bool = False
    post_norms: bool = False
    fused: bool = False
    sections: tuple[int, ...] = ()
    head_ids: str = "vocab_size"
    defaults: Mapping[str, Any] = field(default_factory=dict)


ARCHITECTURES = {
    "llama": Architecture(),
    "mistral": Architecture(defaults={"sliding_window": 4096, "max_position_embeddings": 131072}),
    "qwen2": Architecture(biased=True),
    "qwen3": Architecture(normed=True),
    "gemma": Architecture(
        activations=GELU, offset=True, scaled=True, defaults={"tie_word_embeddings": True, "head_dim": 256}
    ),
    "glm_image_text": Architecture(
        biased=None,
        post_norms=True,
        fused=True,
        sections=(8, 12, 12),
        head_ids="vision_vocab_size",
        defaults={"attention_bias": True, "vision_vocab_size": 16512},
    ),
}


@dataclass(frozen=True)
class Sizes:
    """The sizes of a language model.

    Attributes:
        inner: width of the feed-forward.
        ids: rows of the embedding table.
        head_ids: rows of the output head; the first ids.
        tied: the output head is the embedding table.
        biased: queries, keys and values have biases.
        activation: of ``lantu.kernels.Shape``.
        architecture: the rest.
    """

    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    inner: int
    ids: int
    head_ids: int
    eps: float
    rotary: Rotary
    tied: bool
    biased: bool
    activation: str
    architecture: Architecture

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Sizes":
        """The sizes that a config describes.

        Raises:
            ModelError: the architecture is not supported, or a field is missing or out of range.
        """
        check(config)
        architecture, config = with_defaults(config)
        fields = Fields(config, WHERE)
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
        tied = fields.given("tie_word_embeddings") and fields.one_of("tie_word_embeddings", (True, False))
        ids = fields.whole("vocab_size", 1, MAX_IDS)
        biased = fields.one_of("attention_bias", (True, False)) if architecture.biased is None else architecture.biased
        return cls(
            layers=layers,
            width=width,
            heads=heads,
            key_value_heads=key_value_heads,
            head_width=head_width,
            inner=fields.whole("intermediate_size", 1, MAX_WIDTH),
            ids=ids,
            head_ids=ids if tied else fields.whole(architecture.head_ids, 1, ids),
            eps=fields.real("rms_norm_eps", 1e-12, 0.1),
            rotary=Rotary.of(config, head_width, WHERE, architecture.sections),
            tied=tied,
            biased=biased,
            activation=architecture.activations[config["hidden_act"]],
            architecture=architecture,
        )


def with_defaults(config: Mapping[str, Any]) -> tuple[Architecture, Mapping[str, Any]]:
    """The architecture of a config that ``check`` accepts, and the config with the fields that it may lack."""
    architecture = ARCHITECTURES[config["model_type"]]
    return architecture, {**architecture.defaults, **config}


def check(config: Mapping[str, Any]) -> None:
    """Refuse architectures that our forward passes don't support.

    Raises:
        ModelError: the architecture is not supported.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        refuse({"model_type": kind})
    architecture, config = with_defaults(config)
    accepted: dict[str, Sequence[object]] = {
        "hidden_act": tuple(architecture.activations),
        "mlp_bias": OFF,
        "use_sliding_window": OFF,
        "use_bidirectional_attention": OFF,
        "quantization_config": (None,),
    }
    if architecture.biased is False:
        accepted["attention_bias"] = OFF
    unknown = {name: config.get(name) for name, known in accepted.items() if not is_one_of(config.get(name), known)}
    unknown |= rotary.unsupported(config, bool(architecture.sections))
    layer_types = config.get("layer_types") or ()
    if not isinstance(layer_types, Sequence) or any(each != "full_attention" for each in layer_types):
        unknown["layer_types"] = layer_types
    if kind == "mistral" and slides(config):
        unknown["sliding_window"] = config["sliding_window"]
    if unknown:
        refuse(unknown)


def slides(config: Mapping[str, Any]) -> bool:
    """Whether each id attends only to a window that is shorter than the longest text."""
    window, longest = config.get("sliding_window"), config.get("max_position_embeddings")
    return window is not None and not (isinstance(window, int) and isinstance(longest, int) and window >= longest)


def refuse(unknown: Mapping[str, object]) -> NoReturn:
    """Raise ModelError for fields that no forward pass of ours supports."""
    listed = ", ".join(f"{name} {shown(value)}" for name, value in unknown.items())
    hint = f"choose --backend transformers; lantu's own code knows plain {', '.join(ARCHITECTURES)}"
    raise ModelError(f"can't draft with {listed}", hint)


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
