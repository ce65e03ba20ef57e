"""Weights without torch: what safetensors wrote, and a clear error for what it did not."""

import numpy as np
import pytest
import torch

from lantu.errors import ModelError
from lantu.kernels import to_float
from lantu.weights import arrays, tensors


@pytest.mark.parametrize("most", [14_000_000, 200])
def test_arrays_are_the_tensors(tmp_path, most):
    state = {"a": torch.randn(3, 5), "b": torch.arange(40.0), "whole": torch.arange(7), "true": torch.tensor(True)}
    tensors.save(state, tmp_path, torch.bfloat16, most)
    read = arrays.read(tmp_path)
    assert set(read) == set(state)
    assert np.array_equal(to_float(read["a"]), state["a"].bfloat16().float().numpy())
    assert np.array_equal(to_float(read["b"]), state["b"].bfloat16().float().numpy())
    assert read["whole"].tolist() == list(range(7))
    assert read["true"].shape == ()
    assert bool(read["true"])


def test_float32_is_kept(tmp_path):
    tensors.save({"a": torch.full((2,), 0.1)}, tmp_path, None)
    assert arrays.read(tmp_path)["a"].dtype == np.float32


@pytest.mark.parametrize("cut", [0, 4, 30, -1])
def test_damaged_files_are_refused(tmp_path, cut):
    tensors.save({"a": torch.randn(30, 50)}, tmp_path)
    path = tmp_path / arrays.SINGLE
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match="can't read the weights"):
        arrays.read(tmp_path)
    with pytest.raises(ModelError):
        arrays.read(tmp_path / "missing")
