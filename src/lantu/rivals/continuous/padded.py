"""A linear layer on the kernels whose inputs may have any width. Shapes: R rows, E inputs."""

import numpy as np

from lantu import kernels
from lantu.kernels import to_float
from lantu.kernels.shapes import MULTIPLE


class PaddedLinear:
    """``kernels.linear`` in float32, for widths that native code does not take: zeros are appended to the inputs."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray):
        self.missing = -weight.shape[1] % MULTIPLE
        self.linear = kernels.linear(self.pad(to_float(weight)), bias, precise=True)

    def pad(self, x_RE: np.ndarray) -> np.ndarray:
        """Rows of a width that native code takes."""
        return np.pad(x_RE, ((0, 0), (0, self.missing))) if self.missing else np.ascontiguousarray(x_RE, np.float32)

    def __call__(self, x_RE: np.ndarray) -> np.ndarray:
        return self.linear(self.pad(np.asarray(x_RE, np.float32)))
