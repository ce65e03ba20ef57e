"""Which tensors a part of a model must hold, from its config.json: the one place that compares the two.

All backends ask here before they compute: ``check`` for a config and tensors at hand, ``read`` for a folder, of whose
weights only the headers are read. Numbers are checked for type and range first, so that nothing is as large as a wrong
number says. A tensor that is missing, unknown, or of another shape or type is named, with what is expected.

Shapes: D width, H heads, G heads of keys and values, K head width, F inner width, V ids, P patch, E code width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lantu.errors import ModelError
from lantu.files.untrusted import Fields, read_json, shown
from lantu.kernels.blocks import heads_of, inner_of
from lantu.tokens.vocabulary import MAX_SIDE, MOST_CODES, MOST_PATCH, STRENGTHS, Vocabulary
from lantu.weights import arrays, checksums
from lantu.weights.architecture import MOST_IDS, MOST_LAYERS, MOST_WIDTH, WHERE, Sizes, is_plain

NAMES = {
    "language": "language model",
    "tokenizer": "image tokenizer",
    "decoder": "diffusion decoder",
    "control": "control",
}
FLOATS, OWN_FLOATS, TRUTH = ("BF16", "F32", "F16", "F64"), ("BF16", "F32"), ("BOOL",)
HALVES = {"float16": "F16", "bfloat16": "BF16"}
KINDS = {"uint16": "BF16", "bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64", "bool": "BOOL"}
CONTROL_KINDS = 3  # of ``lantu.models.lantu.controls``
WAVES = 128  # of the decoder's time
HINT = "restore config.json, or fetch the model again"
MISSING = "give a complete model directory"

Wanted = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]  # name → shape, types that it may have


class Tensor(Protocol):
    """An array, a tensor of torch, or an entry of a header."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


@dataclass(frozen=True)
class Drawing:
    """What a language model's config.json says of pictures, in its entry "lantu".

    Attributes:
        grid: height and width in codes of the pictures it was trained on.
        guidance: strengths that it has learnt to apply by itself.
        learnt: abilities beside drawing and captioning.
    """

    vocabulary: Vocabulary
    grid: tuple[int, int]
    guidance: tuple[float, ...]
    learnt: tuple[str, ...]


def read(part: str, folder: str | Path) -> dict[str, Any]:
    """The config of a part's folder, once its tensors are the ones that the config asks for.

    Args:
        part: "language", "tokenizer", "decoder" or "control".

    Raises:
        ModelError: a number is out of range, a tensor is not the one expected, a file is damaged or was changed.
    """
    require(part, folder)
    config = arrays.read_config(folder)
    check(part, config, arrays.entries(folder))
    verify(part, Path(folder), config)
    return config


def read_arrays(part: str, folder: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """``read`` with the arrays, mapped from disk: a start of drawing parses no header twice."""
    require(part, folder)
    config, state = arrays.read_config(folder), arrays.read(folder)
    check(part, config, state)
    verify(part, Path(folder), config)
    return config, state


def require(part: str, folder: str | Path) -> None:
    """Refuse a folder that holds no such part."""
    if not (Path(folder) / "config.json").exists():
        raise ModelError(f"no {NAMES[part]} in {folder}, for want of a config.json", MISSING)


def verify(part: str, folder: Path, config: Mapping[str, Any]) -> None:
    """What is checked beside config and tensors: generation_config.json, and the model's checksums."""
    if part == "language":
        check_generation(folder, config)
    checksums.verify(folder)


def read_language(folder: str | Path) -> dict[str, Any]:
    """The config of a language model of any architecture: ``read``, or what can be checked without knowing it."""
    return read("language", folder) if is_plain(arrays.read_config(folder)) else read_foreign(folder)


def read_foreign(folder: str | Path) -> dict[str, Any]:
    """The config of a language model of another architecture, which transformers or vLLM compute: its files are sound,
    and it is no larger than its numbers may be. What tensors it must hold they know alone.

    Raises:
        ModelError: a file is damaged or was changed, or a number is out of range.
    """
    config = arrays.read_config(folder)
    fields = Fields(config, WHERE)
    most = {"layers": MOST_LAYERS, "layer": MOST_LAYERS, "size": MOST_IDS, "embd": MOST_IDS, "dim": MOST_IDS}
    most |= {"heads": MOST_WIDTH, "head": MOST_WIDTH, "positions": MOST_IDS, "embeddings": MOST_IDS}
    for name, value in config.items():
        if type(value) in (int, float) and (ending := name.rsplit("_", 1)[-1]) in most:
            fields.whole(name, 0, most[ending])
    arrays.entries(folder)
    if "lantu" in config:
        drawing(config)
    checksums.verify(folder)
    return config


def check(part: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Hold tensors against the config that they came with; shapes and types are looked at, no values.

    Raises:
        ModelError: a number is out of range, or a tensor is missing, unknown, or of another shape or type.
    """
    compare(NAMES[part], config, WANTED[part](config), OPTIONAL.get(part, lambda _: {})(config), tensors)


def compare(
    name_of_part: str, config: Mapping[str, Any], wanted: Wanted, may: Wanted, tensors: Mapping[str, Tensor]
) -> None:
    """Hold tensors against those that are wanted and those that may be there.

    Raises:
        ModelError: a tensor is missing, unknown, or of another shape or type.
    """
    for name, (shape, kinds) in (wanted | may).items():
        if name not in tensors:
            if name in may:
                continue
            raise ModelError(f"the {name_of_part} lacks {name}, in config.json {list(shape)}", MISSING)
        found, kind = tuple(tensors[name].shape), kind_of(tensors[name])
        if found != shape:
            what = f"{name} of the {name_of_part} is {list(found)}, in config.json {list(shape)}"
            raise ModelError(what, HINT)
        if kind not in kinds:
            raise ModelError(f"{name} of the {name_of_part} is {kind}, not {' or '.join(kinds)}", "fetch it again")
    if unknown := [name for name in tensors if name not in wanted and name not in may and not is_derived(name)]:
        what = f"the {name_of_part} has a tensor {shown(unknown[0])} that its config.json does not ask for"
        raise ModelError(what, HINT)
    check_halves(name_of_part, config, {name: kind_of(tensors[name]) for name in wanted})


def kind_of(tensor: Tensor) -> str:
    """The type of a tensor as safetensors spells it."""
    text = str(tensor.dtype).removeprefix("torch.")
    return KINDS.get(text, text)


def is_derived(name: str) -> bool:
    """Whether a tensor of an older transformers directory is computed from the config anyway."""
    return name.endswith("rotary_emb.inv_freq")


def check_finite(part: str, values: np.ndarray) -> None:
    """Refuse what damaged weights compute, before it is drawn.

    Raises:
        ModelError: a value is infinite or no number.
    """
    if not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ModelError(f"the {NAMES[part]} computes numbers that are not finite", "fetch it again, it is damaged")


def check_halves(name_of_part: str, config: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """Refuse tensors of both float16 and bfloat16, or of one where the config speaks of the other.

    A header that calls the one the other has all the right sizes, and all the wrong numbers.
    """
    told = config.get("dtype", config.get("torch_dtype"))
    wanted = HALVES.get(told.removeprefix("torch.")) if isinstance(told, str) else None
    for name, kind in kinds.items():
        if kind in HALVES.values():
            wanted = wanted or kind
            if kind != wanted:
                what = f"{name} of the {name_of_part} is {kind}, where the other tensors or config.json are {wanted}"
                raise ModelError(what, "fetch it again")


def language(config: Mapping[str, Any]) -> Wanted:
    sizes = Sizes.of(config)
    check_language(config, sizes)
    D, K, F = sizes.width, sizes.head_width, sizes.inner
    HK, GK = sizes.heads * K, sizes.key_value_heads * K
    each: dict[str, tuple[int, ...]] = {
        "input_layernorm": (D,),
        "self_attn.q_proj": (HK, D),
        "self_attn.k_proj": (GK, D),
        "self_attn.v_proj": (GK, D),
        "self_attn.o_proj": (D, HK),
        "post_attention_layernorm": (D,),
        "mlp.gate_proj": (F, D),
        "mlp.up_proj": (F, D),
        "mlp.down_proj": (D, F),
    }
    if sizes.normed:
        each |= {"self_attn.q_norm": (K,), "self_attn.k_norm": (K,)}
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (sizes.ids, D)}
    for number in range(sizes.layers):
        shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in each.items()}
    shapes["model.norm.weight"] = (D,)
    if not sizes.tied:
        shapes["lm_head.weight"] = (sizes.ids, D)
    return {name: (shape, FLOATS) for name, shape in shapes.items()}


def head(config: Mapping[str, Any]) -> Wanted:
    """What transformers may write of a model whose head is its embedding."""
    sizes = Sizes.of(config)
    return {"lm_head.weight": ((sizes.ids, sizes.width), FLOATS)} if sizes.tied else {}


def check_language(config: Mapping[str, Any], sizes: Sizes) -> None:
    """The numbers of a language model's config beside its sizes."""
    fields = Fields(config, WHERE)
    for name, least, most in (("attention_dropout", 0, 1), ("initializer_range", 0, 100)):
        if fields.given(name):
            fields.real(name, least, most)
    for name in ("max_position_embeddings", "max_window_layers"):
        if fields.given(name):
            fields.whole(name, 1 if name.startswith("max_p") else 0, MOST_IDS)
    if "lantu" not in config:
        return
    vocabulary = drawing(config).vocabulary
    if sizes.ids < vocabulary.size:
        fields.refuse("vocab_size", f"{vocabulary.size} or more, text_size and codebook_size being what they are")
    for name in ("bos", "eos", "pad"):
        if fields.given(f"{name}_token_id"):
            fields.one_of(f"{name}_token_id", (vocabulary.special(name),))
    added = Fields(config["lantu"], f'"lantu" in {WHERE}')
    texts_in(added, "tokenizer")
    if added.given("added"):
        added.wholes("added", 0, sizes.layers - 1)


def drawing(config: Mapping[str, Any]) -> Drawing:
    """What a language model's config says of pictures.

    Raises:
        ModelError: it says nothing of them, or something out of range.
    """
    fields = drawing_fields(config)
    grid = fields.wholes("grid", 1, MAX_SIDE)
    if len(grid) != 2:
        fields.refuse("grid", "a height and a width")
    learnt = fields.texts("learnt") if fields.given("learnt") else ()
    return Drawing(vocabulary_of(config), (grid[0], grid[1]), strengths_of(config), learnt)


def vocabulary_of(config: Mapping[str, Any]) -> Vocabulary:
    """Where text and codes lie among the ids. Raises ModelError as ``drawing``."""
    fields = drawing_fields(config)
    return Vocabulary(fields.whole("text_size", 256, MOST_IDS), fields.whole("codebook_size", 2, MOST_CODES))


def strengths_of(config: Mapping[str, Any]) -> tuple[float, ...]:
    """Of guidance, that a language model has learnt. Raises ModelError as ``drawing``."""
    fields = drawing_fields(config)
    strengths = fields.reals("guidance", 1, 100) if fields.given("guidance") else ()
    if len(set(strengths)) != len(strengths) or not set(strengths) <= set(STRENGTHS):
        fields.refuse("guidance", f"different ones of {', '.join(f'{each:g}' for each in STRENGTHS)}")
    return strengths


def drawing_fields(config: Mapping[str, Any]) -> Fields:
    """The entry "lantu" of a language model's config."""
    told = config.get("lantu")
    if not isinstance(told, Mapping):
        raise ModelError("the language model has no image codes", "adopt it first, or give one that draws")
    return Fields(told, f'"lantu" in {WHERE}')


def check_generation(folder: Path, config: Mapping[str, Any]) -> None:
    """What other programs sample with, if the directory says it: in range, and of the same ids as config.json."""
    path = folder / "generation_config.json"
    if not path.exists():
        return
    try:
        fields = Fields(read_json(path), str(path))
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read as JSON ({problem})", MISSING) from problem
    for name, least, most in (("temperature", 0, 100), ("top_p", 0, 1)):
        if fields.given(name):
            fields.real(name, least, most)
    if fields.given("top_k"):
        fields.whole("top_k", 0, MOST_IDS)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if "lantu" in config and fields.given(name) and config.get(name) is not None:
            fields.one_of(name, (config[name],))


def tokenizer(config: Mapping[str, Any]) -> Wanted:
    fields = Fields(config, "the image tokenizer's config.json")
    counts = ("encoder_layers", "decoder_layers")
    later = ("reach", "encoder_window")  # of which 0.1 knew nothing
    fields.only(("size", "patch", "width", *counts, *CODES, "levels", "semantic_width", *later))
    P, D = fields.whole("patch", 1, MOST_PATCH), width_of(fields)
    if fields.whole("size", P, MOST_PATCH * MAX_SIDE) % P:
        fields.refuse("size", f"a multiple of patch {P}")
    encoders, decoders = (fields.whole(name, 0, MOST_LAYERS) for name in counts)
    reach, _ = (fields.whole(name, 0, MOST_PATCH) if fields.given(name) else 0 for name in later)
    if reach and (reach < P or (reach - P) % 2 or reach % 8):
        fields.refuse("reach", f"a multiple of 8 that leaves a rim around a patch of {P}")
    quantizer = fields.one_of("quantizer", ("vq", "following", "fsq", "simvq"))
    count, E = fields.whole("codebook_size", 2, MOST_CODES), fields.whole("code_width", 1, MOST_WIDTH)
    levels, semantic = fields.wholes("levels", 2, MOST_CODES), fields.whole("semantic_width", 0, MOST_WIDTH)
    if quantizer == "fsq" and (product(levels) != count or len(levels) != E):
        fields.refuse("levels", f"code_width {E} numbers whose product is codebook_size {count}")
    wanted = linear("encoder.patches", D, 3 * (reach or P) ** 2) | blocks("encoder.blocks.", encoders, D)
    wanted |= linear("encoder.out", E, D) | linear("decoder.embed", D, E) | blocks("decoder.blocks.", decoders, D)
    wanted |= linear("decoder.out.linear", 12 * P * P, D)
    if semantic:
        wanted |= linear("decoder.semantic", semantic, D)
    codebook: dict[str, tuple[int, ...]] = {"usage": (count,)}
    if quantizer == "vq":
        inner = {"embed": (1, count, E), "embed_avg": (1, count, E), "cluster_size": (1, count)}
        codebook |= {f"inner._codebook.{name}": shape for name, shape in inner.items()}
        wanted["quantizer.inner._codebook.initted"] = ((), TRUTH)
    elif quantizer == "following":
        codebook |= {"inner.codebook": (count, E)}
    elif quantizer == "simvq":
        codebook |= {"inner.frozen_codebook": (count, E), "inner.code_transform.weight": (E, E)}
    return wanted | floats("quantizer.", codebook) | {"quantizer.open": ((), TRUTH)}


CODES = ("quantizer", "codebook_size", "code_width")


def decoder(config: Mapping[str, Any]) -> Wanted:
    fields = Fields(config, "the diffusion decoder's config.json")
    fields.only(("patch", "width", "layers", "codebook_size", "tokenizer"))
    texts_in(fields, "tokenizer")
    P, D = fields.whole("patch", 1, MOST_PATCH), width_of(fields)
    layers, count = fields.whole("layers", 1, MOST_LAYERS), fields.whole("codebook_size", 2, MOST_CODES)
    wanted = floats("", {"codes.weight": (count + 1, D)}) | linear("noisy", D, 3 * P * P)
    wanted |= linear("time.0", D, WAVES) | linear("time.2", 6 * D, D) | blocks("blocks.", layers, D)
    wanted |= floats("blocks.", {f"{number}.table": (6, D) for number in range(layers)})
    return wanted | linear("out.linear", 12 * P * P, D)


def control(config: Mapping[str, Any]) -> Wanted:
    fields = Fields(config, "the control's config.json")
    fields.only(("patch", "width", "layers", "codebook_size", "strengths", "prior", "tokenizer", "decoder"))
    texts_in(fields, "tokenizer", "decoder")
    P, D = fields.whole("patch", 1, MOST_PATCH), width_of(fields)
    layers, count = fields.whole("layers", 1, MOST_LAYERS), fields.whole("codebook_size", 2, MOST_CODES)
    if len(fields.reals("strengths", 0, 100)) != CONTROL_KINDS:
        fields.refuse("strengths", f"{CONTROL_KINDS} numbers")
    fields.real("prior", 0, 1)
    tables = {"kinds.weight": (CONTROL_KINDS + 1, D), "codes.weight": (count + 1, D)}
    wanted = linear("picture", D, 3 * P * P) | floats("", tables) | blocks("blocks.", layers, D)
    return wanted | linear("out", 2 * D, D) | linear("fit", count, D)


def texts_in(fields: Fields, *names: str) -> None:
    """Refuse digests that are no text; models of lantu 0.1 have none."""
    for name in names:
        if name in fields.values and not isinstance(fields.values[name], str):
            fields.refuse(name, "a text")


def width_of(fields: Fields) -> int:
    """A width that heads divide, each of them into the four parts that rotary angles in two dimensions turn."""
    width = fields.whole("width", 4, MOST_WIDTH)
    if width % (4 * heads_of(width)):
        fields.refuse("width", f"a multiple of {4 * heads_of(width)}")
    return width


def blocks(prefix: str, count: int, D: int) -> Wanted:
    """Of ``lantu.models.lantu.layers.Block``."""
    K, F = D // heads_of(D), inner_of(D)
    each = {
        "attention_norm": (D,),
        "attention.query_key_value": (3 * D, D),
        "attention.out": (D, D),
        "attention.query_norm": (K,),
        "attention.key_norm": (K,),
        "feed_forward_norm": (D,),
        "feed_forward.gate_up": (2 * F, D),
        "feed_forward.down": (D, F),
    }
    return floats(prefix, {f"{n}.{name}.weight": shape for n in range(count) for name, shape in each.items()})


def linear(name: str, rows: int, columns: int) -> Wanted:
    return floats(f"{name}.", {"weight": (rows, columns), "bias": (rows,)})


def floats(prefix: str, shapes: Mapping[str, tuple[int, ...]]) -> Wanted:
    return {prefix + name: (shape, OWN_FLOATS) for name, shape in shapes.items()}


def product(levels: tuple[int, ...]) -> int:
    total = 1
    for level in levels:
        total *= level
    return total


WANTED: dict[str, Callable[[Mapping[str, Any]], Wanted]] = {
    "language": language,
    "tokenizer": tokenizer,
    "decoder": decoder,
    "control": control,
}
OPTIONAL: dict[str, Callable[[Mapping[str, Any]], Wanted]] = {"language": head}
