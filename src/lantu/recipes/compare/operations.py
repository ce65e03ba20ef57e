"""Operations of drawing a picture, counted as they are executed: by torch's counter, and by one around the kernels.

Products of matrices and attention count, an addition and a multiplication as two operations, as in
``lantu.training.flops``. Shapes: T tokens, D width.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from lantu.kernels import native, plain, reason
from lantu.kernels.shapes import Segment, Shape
from lantu.training.flops import counted


class Count:
    """Operations so far."""

    def __init__(self):
        self.total = 0.0

    def forward(self, shape: Shape, tokens: int, segments: list[Segment]) -> None:
        """Add a pass of a transformer stack, before it is made."""
        queries, keys = shape.heads * shape.head_width, shape.key_value_heads * shape.head_width
        weights = shape.width * (2 * queries + 2 * keys) + 3 * shape.width * shape.inner
        pairs = sum(map(attended, segments))
        self.total += shape.layers * (2.0 * weights * tokens + 4.0 * queries * pairs)


def attended(segment: Segment) -> float:
    """Pairs of a query and a key in one segment."""
    before = segment.cache.used + (segment.prefix.used if segment.prefix else 0)
    own = segment.tokens * (segment.tokens + 1) / 2 if segment.causal else segment.tokens**2
    return segment.tokens * before + own


@contextlib.contextmanager
def in_kernels() -> Iterator[Count]:
    """Inside, the operations of ``lantu.kernels`` are counted, whichever implementation is in use."""
    count = Count()
    module: Any = plain if reason() else native
    stack, linear = module.TransformerStack, module.Linear
    forward, call = stack.forward, linear.__call__

    def counted_forward(self: Any, x_TD: Any, rotation: Any, segments: list[Segment], *more: Any, **named: Any) -> Any:
        count.forward(self.shape, len(x_TD), segments)
        return forward(self, x_TD, rotation, segments, *more, **named)

    def counted_call(self: Any, x_TD: Any, *more: Any, **named: Any) -> Any:
        out = call(self, x_TD, *more, **named)
        count.total += 2.0 * x_TD.shape[0] * x_TD.shape[1] * out.shape[1]
        return out

    stack.forward, linear.__call__ = counted_forward, counted_call
    try:
        yield count
    finally:
        stack.forward, linear.__call__ = forward, call


def operations(work: Callable[[], Any]) -> float:
    """Operations that a function executes, in torch and in the kernels."""
    with in_kernels() as count:
        in_torch = counted(work)
    return in_torch + count.total
