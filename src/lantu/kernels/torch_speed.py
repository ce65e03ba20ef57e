"""Lets torch train faster on a CPU, by two things that must be settled before it is imported.

Huge pages: torch asks the system anew for every large tensor, and the system hands it over in pages of 4 KiB, each with
a fault; with THP_MEM_ALLOC_ENABLE, torch's own option, in pages of 2 MiB.

AVX2 on AMD's processors: torch's wheels multiply float32 matrices with Intel's MKL, which on other makers' processors
leaves AVX2 unused. Two functions that are loaded before torch answer for MKL that it may use it (``csrc/mkl.c``). Sums
are in another order then, so results differ in their last digits.

docs/speed.md says what they gain. ``LANTU_TORCH=as-is`` leaves torch alone.
"""

import ctypes
import os
import sys
from pathlib import Path

HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"


def prepare() -> None:
    """Settle both, unless torch is imported already."""
    if "torch" in sys.modules or os.environ.get("LANTU_TORCH") == "as-is":
        return
    os.environ.setdefault(HUGE_PAGES, "1")
    use_avx2()


def use_avx2() -> bool:
    """Let MKL use AVX2 on this processor if it wouldn't; returns whether anything was changed."""
    for path in sorted(Path(__file__).parent.glob("_mkl*")):
        try:
            if not ctypes.CDLL(str(path)).lantu_mkl_pays():
                return False
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except (OSError, AttributeError):
            continue
        return True
    return False
