"""torch's MKL uses AVX2 where recipes were imported before torch, on processors where it wouldn't by itself."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lantu import kernels
from lantu.kernels.mkl import use_avx2

MULTIPLY = "import torch; torch.randn(64, 64) @ torch.randn(64, 64)"


def pays() -> bool:
    """Whether this processor is one where it is known to pay, and the code for it was compiled."""
    found = sorted(Path(kernels.__file__).parent.glob("_mkl*"))
    return bool(found) and bool(ctypes.CDLL(str(found[0])).lantu_mkl_pays())


def kernels_of(code: str, **environment: str) -> str:
    """What MKL says of the kernels that it takes, in a process of its own; "" without MKL."""
    run = [sys.executable, "-c", code]
    environment = {**os.environ, "MKL_VERBOSE": "1", "OMP_NUM_THREADS": "1", **environment}
    lines = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    return next((line for line in lines if line.startswith("MKL_VERBOSE oneMKL")), "")


def test_nothing_is_changed_once_torch_is_there():
    import torch  # noqa: F401

    assert not use_avx2()


def test_recipes_multiply_with_avx2_unless_told_otherwise():
    if not pays():
        pytest.skip("MKL needs no help on this processor, or nothing was compiled")
    if not (alone := kernels_of(MULTIPLY)):
        pytest.skip("this torch has no MKL")
    helped = kernels_of("import lantu.recipes; " + MULTIPLY, LANTU_MKL="")
    assert "AVX2" in helped
    assert "AVX2" not in alone
    assert kernels_of("import lantu.recipes; " + MULTIPLY, LANTU_MKL="as-is") == alone
