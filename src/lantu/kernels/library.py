"""Loads the compiled code, or says why there is none."""

import ctypes
import os
import threading
from functools import lru_cache
from pathlib import Path

from lantu.errors import LantuError
from lantu.kernels.cores import within_quota


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | str:
    """The compiled code, or the reason why NumPy is used instead.

    ``LANTU_KERNELS=numpy`` always uses NumPy, ``LANTU_KERNELS=native`` raises an error if there is no compiled code.
    ``OMP_NUM_THREADS`` limits its threads, as in other libraries; without it a container's quota does.
    """
    wanted = os.environ.get("LANTU_KERNELS", "")
    if wanted == "numpy":
        return "LANTU_KERNELS=numpy"
    found = compiled(Path(__file__).parent)
    if wanted == "native" and isinstance(found, str):
        raise LantuError(f"no native code: {found}", "install g++ and reinstall lantu, or unset LANTU_KERNELS")
    if not isinstance(found, str):
        limit = os.environ.get("OMP_NUM_THREADS", "")
        found.lantu_set_threads(threads_for(int(limit) if limit.isdecimal() else 0))
    return found


def threads_for(count: int) -> int:
    """A number of threads for the compiled code; for 0, which is one per core, no more than a quota pays for."""
    return count or within_quota()


def compiled(folder: Path) -> ctypes.CDLL | str:
    """The compiled code in a folder that this machine can load, where some may be of others; else why there is none."""
    why = "it was not compiled when lantu was installed, because there was no C++17 compiler"
    for path in sorted(folder.glob("_native*"), reverse=True):
        try:
            return ctypes.CDLL(str(path))
        except OSError as problem:
            why = f"{path.name} can't be loaded ({problem})"
    return why


def reason() -> str:
    """Why there is no native code; "" if there is."""
    found = library()
    return found if isinstance(found, str) else ""


def threads() -> int:
    """Threads of one computation; 1 with NumPy."""
    found = library()
    return 1 if isinstance(found, str) else found.lantu_threads()


ENTERED = threading.local()  # groups: handles of those that this thread is in, the innermost last


class ThreadGroup:
    """Threads reserved for the computations inside ``with group:``, so that they run beside other computations.

    Outside of groups computations take turns, each on all threads. Groups may be nested: the innermost computes. With
    NumPy a group has no effect.

    Args:
        count: number of threads.
    """

    def __init__(self, count: int):
        found = library()
        self.library = None if isinstance(found, str) else found
        if self.library:
            self.library.lantu_thread_group.restype = ctypes.c_void_p
            self.handle = ctypes.c_void_p(self.library.lantu_thread_group(count))

    def __enter__(self) -> None:
        if self.library:
            ENTERED.groups = [*getattr(ENTERED, "groups", ()), self.handle]
            self.library.lantu_enter(self.handle)

    def __exit__(self, *problem: object) -> None:
        if self.library:
            ENTERED.groups.pop()
            self.library.lantu_enter(ENTERED.groups[-1] if ENTERED.groups else None)

    def __del__(self):
        if found := getattr(self, "library", None):
            found.lantu_thread_group_free(self.handle)


def use_threads(count: int) -> None:
    """Set the number of threads; 0 for one per usable core. NumPy's threads are set by its BLAS."""
    found = library()
    if not isinstance(found, str):
        found.lantu_set_threads(threads_for(count))
