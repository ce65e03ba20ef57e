"""The blocks in C++: ``csrc/lantu.h`` through ctypes, which releases the GIL during a call."""

import ctypes
from collections.abc import Iterable, Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from functools import lru_cache

import numpy as np

from lantu.errors import LantuError
from lantu.kernels import shapes
from lantu.kernels.library import library
from lantu.kernels.shapes import MULTIPLE, Cache, Choice, Layer, Segment, Shape, to_float

HINT = "compute with NumPy: set LANTU_KERNELS=numpy"


class _Source(Structure):
    _fields_ = [("data", c_void_p), ("rows", c_int32), ("columns", c_int32), ("is_bf16", c_int32)]


class _Layer(Structure):
    _fields_ = [
        ("attention_norm", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("feed_forward_norm", c_void_p),
        *((name, c_void_p) for name in ("query_bias", "key_bias", "value_bias")),
        *((name, c_void_p) for name in ("attention_post_norm", "feed_forward_post_norm")),
        *((name, _Source) for name in ("query", "key", "value", "out", "gate", "up", "down")),
    ]


class _Shape(Structure):
    _fields_ = [
        *(
            (name, c_int32)
            for name in ("layers", "width", "heads", "key_value_heads", "head_width", "inner", "precise", "gelu")
        ),
        ("eps", c_float),
    ]


class _Sequence(Structure):
    _fields_ = [
        ("memory", c_void_p),
        ("prefix", c_void_p),
        *((name, c_int32) for name in ("capacity", "prefix_capacity", "prefix_length", "start", "tokens", "causal")),
    ]


class _Choice(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("row", "unconditional", "top_k", "contrast")),
        *((name, c_float) for name in ("guidance", "temperature", "top_p")),
        ("uniform", c_double),
    ]


@lru_cache(maxsize=1)
def calls() -> ctypes.CDLL:
    """The library, with the signatures of its functions."""
    found = library()
    assert not isinstance(found, str)
    signatures = {
        "lantu_instructions": (c_char_p, []),
        "lantu_matrix": (c_void_p, [POINTER(_Source), c_int32]),
        "lantu_matrix_free": (None, [c_void_p]),
        "lantu_linear": (None, [c_void_p, c_void_p, c_void_p, c_float, c_void_p, c_int32, c_void_p]),
        "lantu_stack": (c_void_p, [POINTER(_Shape)]),
        "lantu_stack_add": (None, [c_void_p, POINTER(_Layer)]),
        "lantu_stack_free": (None, [c_void_p]),
        "lantu_cache_bytes": (c_int64, [c_void_p, c_int32]),
        "lantu_forward": (
            None,
            [c_void_p, c_void_p, c_int32, c_void_p, c_void_p, POINTER(_Sequence), c_int32, c_void_p],
        ),
        "lantu_choose": (None, [c_void_p, c_int32, POINTER(_Choice), c_int32, c_void_p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


def implementation() -> str:
    """The name of this implementation, for people."""
    return f"native ({calls().lantu_instructions().decode()})"


class TransformerStack:
    """Transformer blocks: see ``shapes.TransformerStack``.

    Raises:
        LantuError: a width is not a multiple of 16.
        ValueError: the shape of an array contradicts ``shape``.
    """

    def __init__(self, shape: Shape, layers: Iterable[Layer], precise: bool = False):
        if shape.width % MULTIPLE or shape.head_width % MULTIPLE:
            widths = f"{shape.width} and heads of {shape.head_width}"
            raise LantuError(f"no native code for widths that are no multiples of {MULTIPLE}: {widths}", HINT)
        check_shape(shape)
        self.shape, self.number_bytes = shape, 4 if precise else 2
        sizes = (shape.layers, shape.width, shape.heads, shape.key_value_heads, shape.head_width, shape.inner)
        self.handle = calls().lantu_stack(_Shape(*sizes, int(precise), int(shape.activation == "gelu"), shape.eps))
        count, self.post_norms = 0, False
        for layer in layers:  # packed one by one, so that no more than one is held twice
            count += 1
            check_layer(shape, layer)
            kept: list[np.ndarray] = []
            calls().lantu_stack_add(self.handle, _layer(layer, kept))
            self.post_norms |= layer.attention_post_norm is not None
        agree(count, max(shape.layers, 1))

    def __del__(self):
        if (handle := getattr(self, "handle", None)) and calls:  # nothing is left of the module at the very end
            calls().lantu_stack_free(handle)

    def cache(self, capacity: int) -> Cache:
        """An empty KV cache in the layout of the native code."""
        return Cache(np.zeros(self.cache_bytes(capacity), np.uint8), capacity)

    def cache_bytes(self, capacity: int) -> int:
        """What ``lantu_cache_bytes`` says: keys and values of all layers, places in sixteens."""
        shape = self.shape
        places = -(-capacity // MULTIPLE) * MULTIPLE
        return shape.layers * shape.key_value_heads * 2 * places * shape.head_width * self.number_bytes

    def forward(
        self,
        x_TD: np.ndarray,
        rotation_2TK: np.ndarray,
        segments: list[Segment],
        modulation_L6D: np.ndarray | None = None,
    ) -> np.ndarray:
        """See ``shapes.TransformerStack.forward``."""
        x_TD = np.array(x_TD, np.float32, order="C")
        rotation_2TK = np.ascontiguousarray(rotation_2TK, np.float32)
        tokens = len(x_TD)
        shape = self.shape
        agree(x_TD.shape, (tokens, shape.width))
        agree(rotation_2TK.shape, (2, tokens, shape.head_width // 2))
        agree(sum(segment.tokens for segment in segments), tokens)
        for segment in segments:
            for cache in (segment.cache, segment.prefix):
                if cache is not None:
                    agree(cache.memory.nbytes, self.cache_bytes(cache.capacity))
        if modulation_L6D is not None:
            modulation_L6D = np.ascontiguousarray(modulation_L6D, np.float32)
            agree(modulation_L6D.shape, (shape.layers, 6, shape.width))
            agree(self.post_norms, False)
        sequences = (_Sequence * len(segments))(*map(_sequence, segments))
        cosine, sine = rotation_2TK
        calls().lantu_forward(
            self.handle, _at(x_TD), tokens, _at(cosine), _at(sine), sequences, len(segments), _at(modulation_L6D)
        )
        for segment in segments:
            segment.cache.used += segment.tokens
        return x_TD


class Linear:
    """One matrix: see ``shapes.Linear``."""

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        norm: np.ndarray | None = None,
        eps: float = 0.0,
        precise: bool = False,
    ):
        self.rows, self.columns = weight.shape
        if self.columns % MULTIPLE:
            raise LantuError(
                f"the native code can't multiply rows of {self.columns} numbers: it takes multiples of {MULTIPLE}", HINT
            )
        agree(() if bias is None else bias.shape, () if bias is None else (self.rows,))
        agree(() if norm is None else norm.shape, () if norm is None else (self.columns,))
        self.bias = None if bias is None else to_float(bias)
        self.norm = None if norm is None else to_float(norm)
        self.eps = eps
        kept: list[np.ndarray] = []
        self.handle = calls().lantu_matrix(_source(weight, kept), int(precise))

    def __del__(self):
        if (handle := getattr(self, "handle", None)) and calls:
            calls().lantu_matrix_free(handle)

    def __call__(self, x_TD: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        x_TD = np.ascontiguousarray(x_TD, np.float32)
        if x_TD.ndim != 2 or x_TD.shape[1] != self.columns:
            raise ValueError(f"rows of shape {x_TD.shape}, expected {self.columns} columns")
        out = np.empty((len(x_TD), self.rows), np.float32) if into is None else into
        if out.shape != (len(x_TD), self.rows) or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"a result of shape {out.shape} and type {out.dtype}, expected {len(x_TD)} x {self.rows}")
        calls().lantu_linear(self.handle, _at(self.bias), _at(self.norm), self.eps, _at(x_TD), len(x_TD), _at(out))
        return out


def choose(logits_RV: np.ndarray, choices: Sequence[Choice]) -> list[int]:
    """One column for each choice: see ``shapes.Choice``."""
    logits_RV = np.ascontiguousarray(logits_RV, np.float32)
    columns = np.empty(len(choices), np.int32)
    rows = len(logits_RV)
    if not logits_RV.shape[1] or not all(0 <= c.row < rows and -1 <= c.unconditional < rows for c in choices):
        raise ValueError(f"a choice names a row that logits of shape {logits_RV.shape} don't have")
    packed = (_Choice * len(choices))(
        *(
            (
                *(c.row, c.unconditional, min(c.top_k, logits_RV.shape[1]), c.contrast),
                *(c.guidance, c.temperature, c.top_p, c.uniform),
            )
            for c in choices
        )
    )
    calls().lantu_choose(_at(logits_RV), logits_RV.shape[1], packed, len(choices), _at(columns))
    return columns.tolist()


def check_shape(shape: Shape) -> None:
    """Raise ValueError where sizes contradict one another; the native code trusts them."""
    sizes = (shape.heads, shape.key_value_heads, shape.inner)
    if min(sizes) < 1 or shape.heads % shape.key_value_heads or shape.activation not in ("silu", "gelu"):
        raise ValueError(f"invalid sizes of blocks: {shape}")


def check_layer(shape: Shape, layer: Layer) -> None:
    """Compare the arrays of a block with the sizes, which the native code trusts.

    Raises:
        ValueError: they disagree.
    """
    D, K, F = shape.width, shape.head_width, shape.inner
    HK, GK = shape.heads * K, shape.key_value_heads * K
    agree((layer.attention_norm.shape, layer.feed_forward_norm.shape), ((D,), (D,)))
    for norm in (layer.query_norm, layer.key_norm):
        agree(None if norm is None else norm.shape, None if norm is None else (K,))
    agree((layer.query.shape, layer.key.shape, layer.value.shape), ((HK, D), (GK, D), (GK, D)))
    agree((layer.out.shape, layer.gate.shape, layer.up.shape), ((D, HK), (F, D), (F, D)))
    agree(layer.down.shape, (D, F))
    biases, posts = biases_of(layer), (layer.attention_post_norm, layer.feed_forward_post_norm)
    for found, expected in ((biases, ((HK,), (GK,), (GK,))), (posts, ((D,), (D,)))):
        if any(array is not None for array in found):
            agree(tuple(None if array is None else array.shape for array in found), expected)


def biases_of(layer: Layer) -> tuple[np.ndarray | None, ...]:
    """Of queries, keys and values."""
    return layer.query_bias, layer.key_bias, layer.value_bias


def agree(found: object, expected: object) -> None:
    """Raise ValueError if two shapes differ."""
    if found != expected:
        raise ValueError(f"the native code got {found} but expects {expected}")


def _at(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _source(weight: np.ndarray, kept: list[np.ndarray]) -> _Source:
    """A matrix for the library, which copies it; ``kept`` keeps the memory alive until then."""
    weight = np.require(weight, weight.dtype if weight.dtype == np.uint16 else np.float32, ["C", "A"])
    kept.append(weight)
    return _Source(_at(weight), *weight.shape, int(weight.dtype == np.uint16))


def _vector(weight: np.ndarray | None, kept: list[np.ndarray]) -> int | None:
    if weight is None:
        return None
    kept.append(to_float(weight))
    return _at(kept[-1])


def _layer(layer: Layer, kept: list[np.ndarray]) -> _Layer:
    vectors = (layer.attention_norm, layer.query_norm, layer.key_norm, layer.feed_forward_norm, *biases_of(layer))
    vectors += (layer.attention_post_norm, layer.feed_forward_post_norm)
    matrices = (layer.query, layer.key, layer.value, layer.out, layer.gate, layer.up, layer.down)
    return _Layer(*(_vector(weight, kept) for weight in vectors), *(_source(weight, kept) for weight in matrices))


def _sequence(segment: Segment) -> _Sequence:
    prefix = segment.prefix
    before = (None, 0, 0) if prefix is None else (_at(prefix.memory), prefix.capacity, prefix.used)
    return _Sequence(
        _at(segment.cache.memory),
        before[0],
        segment.cache.capacity,
        *before[1:],
        segment.cache.used,
        segment.tokens,
        int(segment.causal),
    )


_: type[shapes.TransformerStack] = TransformerStack  # the type checker holds them to it
