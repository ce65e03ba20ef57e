"""The tensors that an image tokenizer must have, derived from its config.json.

Shapes: D width, P cell, C channels, E code width.
"""

import math
from collections.abc import Mapping
from typing import Any

from lantu.files.untrusted import Fields
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH, MAX_SIDE
from lantu.weights.architecture import MAX_LAYERS, MAX_WIDTH
from lantu.weights.wanted import TRUTH, Wanted, blocks, floats, linear, width_of

FIRST = (
    *("size", "patch", "width", "encoder_layers", "decoder_layers", "quantizer", "codebook_size", "code_width"),
    *("levels", "semantic_width"),
)
LATER = {  # fields that version 0.1 lacks, and the most that each may be
    **{"reach": MAX_PATCH, "encoder_window": MAX_PATCH, "stem": 1024, "head": 1024, "depth": 16},
    **{"queries": MAX_SIDE**2, "nested": MAX_SIDE**2, "latents": MAX_WIDTH, "factor": MAX_PATCH},
}
FOLD, WIDEST = 4, 2  # of ``lantu.models.lantu.tokenizer.convolutions``


def tokenizer(config: Mapping[str, Any]) -> Wanted:
    """``lantu.models.lantu.tokenizer.model.ImageTokenizer``. Raises ModelError."""
    fields = Fields(config, "the image tokenizer's config.json")
    fields.only((*FIRST, *LATER, "codec"))
    patch, D = fields.whole("patch", 1, MAX_PATCH), width_of(fields)
    if fields.whole("size", patch, MAX_PATCH * MAX_SIDE) % patch:
        fields.refuse("size", f"a multiple of patch {patch}")
    encoders, decoders = (fields.whole(name, 0, MAX_LAYERS) for name in ("encoder_layers", "decoder_layers"))
    later = {name: fields.whole(name, 0, most) if fields.given(name) else 0 for name, most in LATER.items()}
    P, C = seen(fields, patch, later)
    queries = sequence(fields, later)
    E, semantic = fields.whole("code_width", 1, MAX_WIDTH), fields.whole("semantic_width", 0, MAX_WIDTH)
    wanted = linear("encoder.patches", D, C * ((later["reach"] or P) ** 2)) | blocks("encoder.blocks.", encoders, D)
    wanted |= linear("encoder.out", E, D) | linear("decoder.embed", D, E) | blocks("decoder.blocks.", decoders, D)
    wanted |= linear("decoder.out.linear", C * P * P * (1 if later["latents"] else 4), D)
    if semantic:
        wanted |= linear("decoder.semantic", semantic, D)
    if queries:
        wanted |= floats("", {"encoder.queries.tokens": (queries, D), "decoder.canvas.places": (queries, D)})
        wanted |= floats("", {"decoder.canvas.blank": (D,)})
    if later["stem"]:
        wanted |= stem("encoder.stem.", C, later["stem"], P, D)
    if later["head"]:
        wanted |= head("decoder.head.", C, later["head"], P, D)
    return wanted | codebook(fields, E, max(1, later["depth"]), bool(queries))


def seen(fields: Fields, patch: int, later: Mapping[str, int]) -> tuple[int, int]:
    """Pixels or latents a side of a cell, and their channels."""
    reach, latents, factor = later["reach"], later["latents"], later["factor"]
    if reach and (reach < patch or (reach - patch) % 2 or reach % 8):
        fields.refuse("reach", f"a multiple of 8 that leaves a rim around a patch of {patch}")
    if bool(latents) != bool(factor) or (factor and patch % factor):
        fields.refuse("factor", f"pixels a side of a latent that divide a patch of {patch}, and latents their channels")
    if latents and reach:
        fields.refuse("reach", "0 with latents")
    if latents or fields.given("codec"):
        text = fields.values.get("codec")
        if not isinstance(text, str) or bool(text) != bool(latents):
            fields.refuse("codec", "the SHA-256 of the codec whose latents are encoded")
    cell = patch // (factor or 1)
    if (later["stem"] or later["head"]) and cell & (cell - 1):
        fields.refuse("patch", "a power of two with a convolutional stem or head")
    return cell, latents or 3


def sequence(fields: Fields, later: Mapping[str, int]) -> int:
    """Codes of a sequence; 0 for a grid."""
    queries = later["queries"]
    if queries and (later["encoder_window"] or (queries > MAX_SIDE and queries % MAX_SIDE)):
        fields.refuse("queries", f"{MAX_SIDE} or fewer, or a multiple of it, without windows")
    if later["nested"] > queries:
        fields.refuse("nested", f"{queries} or less")
    return queries


def codebook(fields: Fields, E: int, depth: int, in_sequence: bool) -> Wanted:
    """The quantiser's tensors."""
    count, levels = fields.whole("codebook_size", 2, MAX_CODES), fields.wholes("levels", 2, MAX_CODES)
    quantizer = fields.one_of("quantizer", ("vq", "following", "fsq", "simvq"))
    if quantizer == "fsq" and (math.prod(levels) != count or len(levels) != E):
        fields.refuse("levels", f"code_width {E} numbers whose product is codebook_size {count}")
    if depth > 1 and (quantizer != "following" or in_sequence or depth * count > MAX_CODES):
        fields.refuse("depth", f"1, unless quantizer is following, queries 0, and codes no more than {MAX_CODES}")
    tensors: dict[str, tuple[int, ...]] = {"usage": (depth * count,)}
    wanted: Wanted = {"quantizer.open": ((), TRUTH)}
    if depth > 1:
        tensors |= {f"inner.levels.{level}.codebook": (count, E) for level in range(depth)}
    elif quantizer == "vq":
        inner = {"embed": (1, count, E), "embed_avg": (1, count, E), "cluster_size": (1, count)}
        tensors |= {f"inner._codebook.{name}": shape for name, shape in inner.items()}
        wanted["quantizer.inner._codebook.initted"] = ((), TRUTH)
    elif quantizer == "following":
        tensors |= {"inner.codebook": (count, E)}
    elif quantizer == "simvq":
        tensors |= {"inner.frozen_codebook": (count, E), "inner.code_transform.weight": (E, E)}
    return wanted | floats("quantizer.", tensors)


def stem(prefix: str, C: int, width: int, cell: int, D: int) -> Wanted:
    """``lantu.models.lantu.tokenizer.convolutions.Stem``."""
    fold, widths = min(FOLD, cell), widths_of(width, cell)
    wanted = convolution(f"{prefix}layers.0", C * fold**2, widths[0]) | residual(f"{prefix}layers.1", widths[0])
    for number in range(1, len(widths)):
        wanted |= convolution(f"{prefix}layers.{2 * number}", widths[number - 1], widths[number])
        wanted |= residual(f"{prefix}layers.{2 * number + 1}", widths[number])
    return wanted | convolution(f"{prefix}out", widths[-1], D, 1)


def head(prefix: str, C: int, width: int, cell: int, D: int) -> Wanted:
    """``lantu.models.lantu.tokenizer.convolutions.Head``."""
    fold, widths = min(FOLD, cell), widths_of(width, cell)[::-1]
    wanted = convolution(f"{prefix}embed", D, widths[0], 1) | residual(f"{prefix}layers.0", widths[0])
    for number in range(1, len(widths)):  # between two stages a module without weights doubles both sides
        wanted |= convolution(f"{prefix}layers.{3 * number - 2}", widths[number - 1], 4 * widths[number], 1)
        wanted |= residual(f"{prefix}layers.{3 * number}", widths[number])
    return wanted | convolution(f"{prefix}out", widths[-1], C * fold**2)


def widths_of(width: int, cell: int) -> list[int]:
    """Channels of each stage of a pyramid."""
    stages = cell.bit_length() - min(FOLD, cell).bit_length()
    return [width * min(2**stage, WIDEST) for stage in range(stages + 1)]


def residual(name: str, width: int) -> Wanted:
    """Two convolutions."""
    return convolution(f"{name}.first", width, width) | convolution(f"{name}.second", width, width)


def convolution(name: str, into: int, out: int, kernel: int = 3) -> Wanted:
    """A convolution with a bias."""
    return floats(f"{name}.", {"weight": (out, into, kernel, kernel), "bias": (out,)})
