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


def threads() -> int:
    """How many threads compute together; 1 where NumPy does."""
    found = library()
    return 1 if isinstance(found, str) else found.lantu_threads()


class ThreadGroup:
    """Threads that compute beside the others: what is computed ``with`` a lane does not wait for other passes.

    Without one whatever computes takes turns, with all threads. Where NumPy computes it does nothing.

    Args:
        count: of its threads.
    """

    def __init__(self, count: int):
        found = library()
        self.found = None if isinstance(found, str) else found
        if self.found:
            self.found.lantu_lane.restype = ctypes.c_void_p
            self.handle = ctypes.c_void_p(self.found.lantu_lane(count))

    def __enter__(self) -> None:
        if self.found:
            self.found.lantu_enter(self.handle)

    def __exit__(self, *problem: object) -> None:
        if self.found:
            self.found.lantu_enter(None)

    def __del__(self):
        if found := getattr(self, "found", None):
            found.lantu_lane_free(self.handle)


def use_threads(count: int) -> None:
    """How many threads compute; 0 for one on each core. NumPy's threads are its BLAS's own affair."""
    found = library()
    if not isinstance(found, str):
        found.lantu_set_threads(count)
