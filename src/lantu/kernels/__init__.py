"""Transformer blocks without torch: what drawing on a CPU is made of.

    shapes.py     what a stack of blocks is made of, and what it may look at
    native.py     the same in C++ (``csrc/``), which the package's installation compiles
    plain.py      the same in NumPy, for machines where that could not be compiled; several times slower
    library.py    finds the compiled code, or says why there is none

One kind of block serves language model, image tokenizer and diffusion decoder: RMS norm, attention with rotary angles
and (if the weights are there) normalised queries and keys, SwiGLU. Language models look back, the others all around.
"""

from lantu.kernels.library import ThreadGroup, reason, threads, use_threads
from lantu.kernels.shapes import Cache, Choice, Layer, Linear, Segment, Shape, TransformerStack, to_float

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
    "threads",
    "to_float",
    "use_threads",
]


def _home():
    """The module that computes."""
    if reason():
        from lantu.kernels import plain

        return plain
    from lantu.kernels import native

    return native


def stack(shape: Shape, layers: "list[Layer]", precise: bool = False) -> TransformerStack:
    """Transformer blocks, see ``shapes.TransformerStack``.

    Args:
        precise: compute in float32; else weights, what enters products, and caches are bfloat16, sums float32. NumPy
            always computes in float32.
    """
    return _home().TransformerStack(shape, layers, precise)


def linear(weight, bias=None, norm=None, eps: float = 0.0, precise: bool = False) -> Linear:
    """One matrix, see ``shapes.Linear``."""
    return _home().Linear(weight, bias, norm, eps, precise)


def choose(logits, choices: "list[Choice]") -> "list[int]":
    """One column of logits (R, V) float32 for each choice: see ``shapes.Choice``."""
    return _home().choose(logits, choices)


def exact() -> bool:
    """Whether rows that are computed together are what each would be alone, bit for bit."""
    return not reason()


def name() -> str:
    """What computes here, e.g. "native (avx512bf16)" or "NumPy"."""
    return _home().NAME()
