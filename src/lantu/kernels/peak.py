"""The most that the processor's arithmetic and memory can do, measured by native code that does nothing else.

These are the two sides of a roofline. A library's product or sum would be no bound: it may be slow.
"""

import time
from collections.abc import Callable
from ctypes import c_double, c_int64, c_void_p

import numpy as np

from lantu.kernels.library import library

SPEND_S = 0.25  # seconds for each figure: the best of many short windows, some of which nothing disturbs
ROUNDS = 400_000  # of multiplications and additions in a window: about a millisecond
WINDOW = 32_000_000  # bytes that are read in a window
AHEAD = (0, 1024, 4096)  # bytes; which is best depends on the processor


def operations_per_s(spend_s: float = SPEND_S) -> float:
    """Floating point operations a second in the fastest instructions that the kernels use; 0 without native code.

    These are products of bfloat16 pairs where the processor has them, else float32 multiply-adds.
    """
    found = library()
    if isinstance(found, str):
        return 0.0
    function = found.lantu_multiply_add
    function.restype, function.argtypes = c_double, [c_int64]
    return best(lambda: function(ROUNDS), spend_s)


def bytes_per_s(size: int, spend_s: float = SPEND_S) -> float:
    """Bytes a second of reading ``size`` bytes repeatedly, the fewer the more from a cache; 0 without native code."""
    found = library()
    if isinstance(found, str):
        return 0.0
    function = found.lantu_read_through
    function.restype, function.argtypes = c_double, [c_void_p, c_int64, c_int64, c_int64]
    data, times = np.ones(size, np.uint8), -(-WINDOW // size)
    return max(
        best(lambda ahead=ahead: function(data.ctypes.data, size, ahead, times), spend_s / len(AHEAD))
        for ahead in AHEAD
    )


def best(rate: Callable[[], float], spend_s: float) -> float:
    """The highest of the rates that fit into so many seconds, at least two."""
    until, most = time.perf_counter() + spend_s, rate()
    while True:
        most = max(most, rate())
        if time.perf_counter() > until:
            return most
