"""The tensors of the layers that our own networks are made of.

Shapes: D width, K head width, F inner width.
"""

from collections.abc import Mapping

from lantu.files.untrusted import Fields
from lantu.kernels.blocks import heads_of, inner_of
from lantu.weights.architecture import MAX_WIDTH

OWN_FLOATS, TRUTH = ("BF16", "F32"), ("BOOL",)

Wanted = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]  # name → shape, allowed dtypes


def width_of(fields: Fields) -> int:
    """A width that divides into heads, and each head into the four parts of a two-dimensional rotary embedding."""
    width = fields.whole("width", 4, MAX_WIDTH)
    if width % (4 * heads_of(width)):
        fields.refuse("width", f"a multiple of {4 * heads_of(width)}")
    return width


def blocks(prefix: str, count: int, D: int) -> Wanted:
    """``count`` blocks, ``lantu.models.lantu.layers.Block``."""
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
    """A linear layer with a bias."""
    return floats(f"{name}.", {"weight": (rows, columns), "bias": (rows,)})


def floats(prefix: str, shapes: Mapping[str, tuple[int, ...]]) -> Wanted:
    """Tensors of our own float dtypes under names that begin with ``prefix``."""
    return {prefix + name: (shape, OWN_FLOATS) for name, shape in shapes.items()}
