"""Lets torch train faster on AMD's processors.

torch's wheels multiply float32 matrices with Intel's MKL, which on other makers' processors leaves AVX2 unused. Two
functions that are loaded before torch answer for MKL that it may use it (``csrc/mkl.c``). docs/speed.md has what it
gains. Sums are in another order, so results differ in their last digits from those without it.
"""

import ctypes
import os
import sys
from pathlib import Path


def use_avx2() -> bool:
    """Let MKL use AVX2 on this processor if it wouldn't; returns whether anything was changed.

    It is too late once torch is imported. ``LANTU_MKL=as-is`` leaves MKL alone.
    """
    if "torch" in sys.modules or os.environ.get("LANTU_MKL") == "as-is":
        return False
    for path in sorted(Path(__file__).parent.glob("_mkl*")):
        try:
            if not ctypes.CDLL(str(path)).lantu_mkl_pays():
                return False
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except (OSError, AttributeError):
            continue
        return True
    return False
