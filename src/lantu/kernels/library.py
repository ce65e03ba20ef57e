"""Finds the compiled code, or says why there is none."""

import ctypes
import os
from functools import lru_cache
from pathlib import Path

from lantu.errors import LantuError


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | str:
    """The compiled code, or the reason why NumPy has to do.

    ``LANTU_KERNELS=numpy`` does without it, ``LANTU_KERNELS=native`` insists on it. ``OMP_NUM_THREADS`` limits its
    threads as it does those of other libraries.
    """
    wanted = os.environ.get("LANTU_KERNELS", "")
    if wanted == "numpy":
        return "LANTU_KERNELS=numpy"
    found: ctypes.CDLL | str = "it was not compiled when lantu was installed, for want of a C++17 compiler"
    for path in sorted(Path(__file__).parent.glob("_native*")):
        try:
            found = ctypes.CDLL(str(path))
            if (limit := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
                found.lantu_set_threads(int(limit))
        except OSError as problem:
            found = f"{path.name} can't be loaded ({problem})"
    if wanted == "native" and isinstance(found, str):
        raise LantuError(f"no native code: {found}", "install g++ and lantu again, or unset LANTU_KERNELS")
    return found


def reason() -> str:
    """Why there is no native code; "" when there is."""
    found = library()
    return found if isinstance(found, str) else ""


def use_threads(count: int) -> None:
    """How many threads compute; 0 for one on each core. NumPy's threads are its BLAS's own affair."""
    found = library()
    if not isinstance(found, str):
        found.lantu_set_threads(count)
