"""The tensors that each part of a model must have, derived from its config.json.

Shapes: D width, P patch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lantu.files.untrusted import Fields
from lantu.kernels.shapes import MULTIPLE
from lantu.tokens.vocabulary import MAX_CODES, MAX_DEPTH, MAX_FACTOR, MAX_PATCH, MAX_SIDE
from lantu.weights import language_tensors, lite0
from lantu.weights.architecture import MAX_IDS, MAX_LAYERS, MAX_WIDTH, WHERE, Sizes
from lantu.weights.expected_tokenizer import tokenizer
from lantu.weights.language_config import drawing_config, is_adopted
from lantu.weights.wanted import Wanted, blocks, floats, linear, width_of

FLOATS = ("BF16", "F32", "F16", "F64")
CONTROL_KINDS = 3  # of ``lantu.models.lantu.controls``
MAX_CELL = 16  # of an upscaler
MAX_PASSES = 10_000  # of masked diffusion
MAX_REMEMBERED, MAX_CAPTION_BYTES = 10_000_000, 1 << 33  # of a memory bank
LATER = ("queries", "nested", "cells")  # of a decoder, which those of older versions lack
WAVES = 128  # width of the decoder's time embedding


def language(config: Mapping[str, Any]) -> Wanted:
    """A language model of transformers. Raises ModelError like all functions here."""
    sizes = Sizes.of(config)
    check_language(config, sizes)
    return {name: (shape, FLOATS) for name, shape in language_tensors.shapes(sizes).items()}


def head(config: Mapping[str, Any]) -> Wanted:
    """The head, which transformers may also write if it is tied to the embedding."""
    sizes = Sizes.of(config)
    return {language_tensors.HEAD: ((sizes.ids, sizes.width), FLOATS)} if sizes.tied else {}


def check_language(config: Mapping[str, Any], sizes: Sizes) -> None:
    """Check the numbers of a language model's config other than its sizes."""
    fields = Fields(config, WHERE)
    for name, least, most in (("attention_dropout", 0, 1), ("initializer_range", 0, 100)):
        if fields.given(name):
            fields.real(name, least, most)
    for name in ("max_position_embeddings", "max_window_layers"):
        if fields.given(name):
            fields.whole(name, 1 if name.startswith("max_p") else 0, MAX_IDS)
    if "lantu" not in config:
        return
    vocabulary = drawing_config(config).vocabulary
    if sizes.ids < vocabulary.size:
        fields.refuse("vocab_size", f"{vocabulary.size} or more, text_size and codebook_size being what they are")
    for name in () if is_adopted(config) else ("bos", "eos", "pad"):
        if fields.given(f"{name}_token_id"):
            fields.one_of(f"{name}_token_id", (vocabulary.special(name),))
    added = Fields(config["lantu"], f'"lantu" in {WHERE}')
    texts_in(added, "tokenizer")
    if added.given("added"):
        added.wholes("added", 0, sizes.layers - 1)


def masked(config: Mapping[str, Any]) -> Wanted:
    """``lantu.models.masked.network.MaskedTransformer``."""
    Fields(config, WHERE).real("choice_temperature", 0, 1000)
    return bidirectional(config)


def vq_diffusion(config: Mapping[str, Any]) -> Wanted:
    """``lantu.rivals.vq_diffusion.network.VqDiffusionTransformer``."""
    fields = Fields(config, WHERE)
    wanted, D = bidirectional(config), width_of(fields)
    steps = fields.whole("steps", 1, MAX_PASSES)
    fields.whole("passes", 1, steps)
    if not 0 < fields.real("masked", 0, 1) < 1:
        fields.refuse("masked", "above 0 and below 1")
    return wanted | modulated("", fields.whole("layers", 1, MAX_LAYERS), D)


def bidirectional(config: Mapping[str, Any]) -> Wanted:
    """``lantu.models.masked.network.BidirectionalTransformer``."""
    fields = Fields(config, WHERE)
    D, layers = width_of(fields), fields.whole("layers", 1, MAX_LAYERS)
    fields.whole("passes", 1, MAX_PASSES)
    fields.whole("max_position_embeddings", 1, MAX_IDS)
    vocabulary = drawing_config(config).vocabulary
    return floats("", {"embedding.weight": (vocabulary.size, D), "norm.weight": (D,)}) | blocks("blocks.", layers, D)


def decoder(config: Mapping[str, Any]) -> Wanted:
    """``lantu.models.lantu.decoder.network.PixelDecoder``."""
    fields = Fields(config, "the diffusion decoder's config.json")
    fields.only(("patch", "width", "layers", "codebook_size", "tokenizer", "depth", *LATER))
    texts_in(fields, "tokenizer")
    P, D = fields.whole("patch", 1, MAX_PATCH), width_of(fields)
    layers, count = fields.whole("layers", 1, MAX_LAYERS), fields.whole("codebook_size", 2, MAX_CODES)
    wanted = floats("", {"codes.weight": (count + 1, D)}) | denoiser(P, D, layers)
    queries = sequence(fields, {name: fields.whole(name, 0, MAX_SIDE**2) for name in LATER if fields.given(name)})
    depth = fields.whole("depth", 1, MAX_DEPTH) if fields.given("depth") else 1
    if count % depth or (depth > 1 and queries):
        fields.refuse("depth", f"a divisor of codebook_size {count}, and 1 where queries are given")
    return wanted | (floats("", {"canvas.blank": (D,), "canvas.places": (queries, D)}) if queries else {})


def sequence(fields: Fields, given: Mapping[str, int]) -> int:
    """Codes of a sequence that a decoder renders; 0 for a grid."""
    queries, nested, cells = (given.get(name, 0) for name in LATER)
    if nested > queries:
        fields.refuse("nested", f"{queries} or less")
    if bool(cells) != bool(queries) or cells > MAX_SIDE:
        fields.refuse("cells", f"1 to {MAX_SIDE} cells a side with queries, else 0")
    return queries


def vector_decoder(config: Mapping[str, Any]) -> Wanted:
    """``lantu.rivals.continuous.decoder.VectorDecoder``."""
    fields = Fields(config, "the decoder's config.json")
    fields.only(("patch", "width", "layers", "vector_width", "tokenizer"))
    texts_in(fields, "tokenizer")
    P, D = fields.whole("patch", 1, MAX_PATCH), width_of(fields)
    layers, E = fields.whole("layers", 1, MAX_LAYERS), fields.whole("vector_width", 1, MAX_WIDTH)
    return linear("codes", D, E) | floats("", {"unknown": (D,)}) | denoiser(P, D, layers)


def vectors(config: Mapping[str, Any]) -> Wanted:
    """``lantu.rivals.continuous.network.Vectors``."""
    fields = Fields(config, "the config.json of the vectors")
    sizes = ("patch", "channels", "width", "inner", "layers", "steps", "reach", "levels")
    fields.only(("space", "head", *sizes, "tokenizer"))
    texts_in(fields, "tokenizer")
    fields.one_of("space", ("features", "pixels", "vision"))
    diffuses = fields.one_of("head", ("regression", "diffusion")) == "diffusion"
    fields.whole("patch", 1, MAX_PATCH)
    fields.whole("steps", 1, MAX_PASSES)
    fields.whole("levels", 2, MAX_CODES)
    fields.real("reach", 1e-6, 1e6)
    E, D, W = (fields.whole(name, 1, MAX_WIDTH) for name in ("channels", "width", "inner"))
    layers = fields.whole("layers", 0, MAX_LAYERS)
    wanted = floats("", {"mean": (E,), "scale": (E,)}) | linear("into", D, E)
    if not diffuses:
        return wanted | linear("head.out", E, D)
    wanted |= linear("head.noisy", W, E) | linear("head.condition", W, D) | floats("head.", {"norm.weight": (W,)})
    wanted |= linear("head.time.0", W, WAVES) | linear("head.time.2", W, W)
    wanted |= linear("head.modulate", 2 * W, W) | linear("head.out", E, W)
    for number in range(layers):
        block = f"head.blocks.{number}."
        wanted |= floats(block, {"norm.weight": (W,)}) | linear(f"{block}modulate", 3 * W, W)
        wanted |= linear(f"{block}up", W, W) | linear(f"{block}down", W, W)
    return wanted


def vision(config: Mapping[str, Any]) -> Wanted:
    """``lantu.rivals.continuous.vision.VisionEncoder``."""
    fields = Fields(config, "the vision encoder's config.json")
    fields.only(("network",))
    fields.one_of("network", ("efficientnet-lite0",))
    return lite0.maps()


def denoiser(P: int, D: int, layers: int) -> Wanted:
    """A ``PixelDecoder`` but for what it is conditioned by."""
    wanted = linear("noisy", D, 3 * P * P) | blocks("blocks.", layers, D) | modulated("", layers, D)
    return wanted | linear("out.linear", 12 * P * P, D)


def modulated(prefix: str, layers: int, D: int) -> Wanted:
    """The embedding of time, and what each block has of its own for it."""
    wanted = linear(f"{prefix}time.0", D, WAVES) | linear(f"{prefix}time.2", 6 * D, D)
    return wanted | floats(f"{prefix}blocks.", {f"{number}.table": (6, D) for number in range(layers)})


def adapter(config: Mapping[str, Any]) -> Wanted:
    """``lantu.models.diffusers.conditioning.Adapter``."""
    fields = Fields(config, "the adapter's config.json")
    widths = ("context_width", "pooled_width", "spatial_width", "spatial_kernel")
    fields.only(("codebook_size", "width", "layers", *widths))
    D, layers, count = (
        width_of(fields),
        fields.whole("layers", 0, MAX_LAYERS),
        fields.whole("codebook_size", 2, MAX_CODES),
    )
    context, pooled, spatial = (fields.whole(name, name != "pooled_width", MAX_WIDTH) for name in widths[:3])
    kernel = fields.one_of("spatial_kernel", (1, 3))
    wanted = floats("", {"codes.weight": (count + 1, D), "spatial.weight": (spatial, D, kernel, kernel)})
    wanted |= linear("mlp.0", 2 * D, D) | linear("mlp.2", D, 2 * D) | floats("norm.", {"weight": (D,), "bias": (D,)})
    for number in range(layers):
        prefix = f"layers.{number}."
        wanted |= floats(f"{prefix}self_attn.in_proj_", {"weight": (3 * D, D), "bias": (3 * D,)})
        wanted |= linear(f"{prefix}self_attn.out_proj", D, D)
        wanted |= linear(f"{prefix}linear1", 4 * D, D) | linear(f"{prefix}linear2", D, 4 * D)
        for norm in ("norm1", "norm2"):
            wanted |= floats(f"{prefix}{norm}.", {"weight": (D,), "bias": (D,)})
    return wanted | linear("context", context, D) | (linear("pooled", pooled, D) if pooled else {})


def pretrained(config: Mapping[str, Any]) -> None:
    """Check the config.json of a pretrained decoder: ``lantu.models.diffusers.pretrained``."""
    fields = Fields(config, "the diffusion decoder's config.json")
    texts = ("tokenizer", "network", "codec", "origin", "license")
    fields.only(("_class_name", "patch", "codebook_size", *texts, "time_ids", "aesthetic_score", "guidance"))
    texts_in(fields, *texts)
    fields.whole("patch", 1, MAX_PATCH)
    fields.whole("codebook_size", 2, MAX_CODES)
    fields.one_of("time_ids", (0, 5, 6))
    for name in ("aesthetic_score", "guidance"):
        fields.real(name, 0, 100)


def pretrained_control(config: Mapping[str, Any]) -> None:
    """Check the config.json of its control: ``lantu.models.diffusers.control``."""
    fields = Fields(config, "the control's config.json")
    fields.only(("_class_name", "patch", "codebook_size", "kind", "tokenizer", "decoder"))
    texts_in(fields, "kind", "tokenizer", "decoder")
    fields.whole("patch", 1, MAX_PATCH)
    fields.whole("codebook_size", 2, MAX_CODES)


def control(config: Mapping[str, Any]) -> Wanted:
    """The network of ``lantu.models.lantu.decoder.control``."""
    fields = Fields(config, "the control's config.json")
    fields.only(("patch", "width", "layers", "codebook_size", "strengths", "prior", "tokenizer", "decoder"))
    texts_in(fields, "tokenizer", "decoder")
    P, D = fields.whole("patch", 1, MAX_PATCH), width_of(fields)
    layers, count = fields.whole("layers", 1, MAX_LAYERS), fields.whole("codebook_size", 2, MAX_CODES)
    if len(fields.reals("strengths", 0, 100)) != CONTROL_KINDS:
        fields.refuse("strengths", f"{CONTROL_KINDS} numbers")
    fields.real("prior", 0, 1)
    tables = {"kinds.weight": (CONTROL_KINDS + 1, D), "codes.weight": (count + 1, D)}
    wanted = linear("picture", D, 3 * P * P) | floats("", tables) | blocks("blocks.", layers, D)
    return wanted | linear("out", 2 * D, D) | linear("fit", count, D)


def upscaler(config: Mapping[str, Any]) -> Wanted:
    """``lantu.models.lantu.upscaler.network.Upscaler``."""
    fields = Fields(config, "the upscaler's config.json")
    fields.only(("factor", "cell", "width", "layers"))
    factor, cell = fields.whole("factor", 2, MAX_FACTOR), fields.whole("cell", 1, MAX_CELL)
    D, layers = fields.whole("width", 16, MAX_WIDTH), fields.whole("layers", 1, MAX_LAYERS)
    if D % MULTIPLE:
        fields.refuse("width", f"a multiple of {MULTIPLE}")
    inner = [f"blocks.{number}.{name}" for number in range(layers) for name in ("first", "second")]
    wanted = convolution("first", D, 3 * cell**2) | convolution("last", 3 * (factor * cell) ** 2, D)
    return wanted | {name: value for each in inner for name, value in convolution(each, D, D).items()}


def convolution(name: str, rows: int, columns: int) -> Wanted:
    """A convolution of 3 by 3 with a bias."""
    return floats(f"{name}.", {"weight": (rows, columns, 3, 3), "bias": (rows,)})


def memory_bank(config: Mapping[str, Any]) -> Wanted:
    """The pictures of ``lantu.data.memory_bank``: vectors, codes and captions."""
    fields = Fields(config, "the memory bank's config.json")
    fields.only(("_class_name", "count", "width", "row", "bytes", "codebook_size", "tokenizer"))
    texts_in(fields, "tokenizer")
    count, width = fields.whole("count", 1, MAX_REMEMBERED), fields.whole("width", 1, MAX_WIDTH)
    row, size = fields.whole("row", 3, 2 + MAX_SIDE**2), fields.whole("bytes", 1, MAX_CAPTION_BYTES)
    fields.whole("codebook_size", 2, MAX_CODES)
    return {
        "vectors": ((count, width), ("F16", "F32")),
        "rarity": ((width,), ("F32",)),
        "grids": ((count, row), ("I32",)),
        "captions": ((size,), ("U8",)),
        "ends": ((count,), ("I64",)),
    }


def texts_in(fields: Fields, *names: str) -> None:
    """Refuse digests that are not texts; models of lantu 0.1 have none."""
    for name in names:
        if name in fields.values and not isinstance(fields.values[name], str):
            fields.refuse(name, "a text")


WANTED: dict[str, Callable[[Mapping[str, Any]], Wanted]] = {
    "language": language,
    "masked": masked,
    "vq_diffusion": vq_diffusion,
    "masked_vectors": bidirectional,
    "tokenizer": tokenizer,
    "decoder": decoder,
    "vector_decoder": vector_decoder,
    "vectors": vectors,
    "vision": vision,
    "adapter": adapter,
    "control": control,
    "upscaler": upscaler,
    "memory_bank": memory_bank,
}
OPTIONAL: dict[str, Callable[[Mapping[str, Any]], Wanted]] = {"language": head}
