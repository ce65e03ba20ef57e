"""Transformer blocks without torch, for drawing on a CPU.

    shapes.py     weights, KV caches and segments: the arguments of a forward pass
    native.py     the blocks in C++ (``csrc/``), compiled when the package is installed
    plain.py      the blocks in NumPy, for machines without a compiler; several times slower
    library.py    loads the compiled code, or says why there is none
    cores.py      how many cores a process may use, in containers too
    mkl.py        lets torch's MKL use AVX2 on AMD's processors, for training
    blocks.py     the blocks of lantu's own networks, and their geometry

Language model, image tokenizer and diffusion decoder use the same block: RMS norm, attention with rotary embeddings,
gated feed-forward; optionally biases and norms of queries and keys, and norms after attention and feed-forward.
Attention is causal in language models, bidirectional elsewhere.
"""

from collections.abc import Iterable

from lantu.kernels.cores import usable_cores
from lantu.kernels.library import ThreadGroup, reason, threads, use_threads
from lantu.kernels.shapes import (
    MULTIPLE,
    Cache,
    Choice,
    Layer,
    Linear,
    Segment,
    Shape,
    TransformerStack,
    to_bfloat16,
    to_float,
)

__all__ = [
    "Cache",
    "Choice",
    "Layer",
    "Linear",
    "Segment",
    "Shape",
    "ThreadGroup",
    "TransformerStack",
    "choose",
    "exact",
    "name",
    "reason",
    "takes",
    "threads",
    "to_bfloat16",
    "to_float",
    "usable_cores",
    "use_threads",
]


def _module():
    """The module with the implementation."""
    if reason():
        from lantu.kernels import plain

        return plain
    from lantu.kernels import native

    return native


def stack(shape: Shape, layers: Iterable[Layer], precise: bool = False) -> TransformerStack:
    """Transformer blocks, see ``shapes.TransformerStack``.

    Args:
        layers: as many as ``shape`` says; each is packed before the next is asked for.
        precise: compute in float32. Otherwise weights, factors and KV caches are bfloat16 and sums float32. NumPy
            always computes in float32.
    """
    return _module().TransformerStack(shape, layers, precise)


def linear(weight, bias=None, norm=None, eps: float = 0.0, precise: bool = False) -> Linear:
    """One matrix, see ``shapes.Linear``."""
    return _module().Linear(weight, bias, norm, eps, precise)


def choose(logits, choices: "list[Choice]") -> "list[int]":
    """Sample one column of logits (R, V) float32 for each choice: see ``shapes.Choice``."""
    return _module().choose(logits, choices)


def takes(*widths: int) -> bool:
    """Whether matrices and heads may have these widths; native code wants multiples of 16."""
    return bool(reason()) or not any(width % MULTIPLE for width in widths)


def exact() -> bool:
    """Whether a sequence gives the same bits alone and in a batch."""
    return not reason()


def name() -> str:
    """The implementation in use, e.g. "native (avx512bf16)" or "NumPy"."""
    return _module().implementation()
