"""The few operations that sampling needs, on NumPy arrays and torch tensors alike, without importing torch.

A denoiser computes on arrays of one kind, on one device. Whatever stands around it (guidance, samplers) works on the
same arrays, so that on a GPU nothing is copied to the host between steps.
"""

import importlib
from typing import Any

import numpy as np

Array = Any  # a NumPy array or a torch tensor; the kind is the denoiser's


def namespace(array: Array) -> Any:
    """The module whose functions work on this array: ``numpy`` or ``torch``."""
    return np if isinstance(array, np.ndarray) else importlib.import_module("torch")


def to_numpy(array: Array) -> np.ndarray:
    """Copy to the host, float32; a NumPy array is returned as it is."""
    return array if isinstance(array, np.ndarray) else array.detach().float().cpu().numpy()
