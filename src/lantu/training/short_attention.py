"""Attention of short sequences, which a processor differentiates faster as plain matrix products.

The backward pass of torch's flash attention for processors doesn't multiply bfloat16 in whole tiles where a sequence is
short: with 16 to 160 positions it and its forward pass take 1.4 to 5 times as long as ``softmax(q k^T) v`` written out.
From some 190 positions on, and in float32, flash attention is the faster one (``benchmarks/short_attention.py``).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

SHORT = 160  # positions

torchs = F.scaled_dot_product_attention


@contextlib.contextmanager
def short_attention() -> Iterator[None]:
    """Inside, torch's attention multiplies matrices where sequences are short.

    Put the backward pass inside too: blocks that are computed again there must be computed alike. (A mode of
    ``torch.overrides`` would not reach them, so the function itself is replaced, in all threads.)
    """
    before, F.scaled_dot_product_attention = F.scaled_dot_product_attention, attend
    try:
        yield
    finally:
        F.scaled_dot_product_attention = before


def attend(query: Tensor, key: Tensor, *more: Any, **options: Any) -> Tensor:
    """Torch's attention: (…, T, D) queries, (…, S, D) keys."""
    if max(query.shape[-2], key.shape[-2]) > SHORT:
        return torchs(query, key, *more, **options)
    with sdpa_kernel(SDPBackend.MATH):
        return torchs(query, key, *more, **options)
