"""The upscaler on the native kernels, without torch.

A convolution is one product: of windows of 3 by 3 places, side by side in a row, with its weights.

Shapes: B batch, C channels, H W pixels, h w places, S factor.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np

from lantu import kernels
from lantu.kernels import MULTIPLE, to_float
from lantu.weights import manifest


class NativeUpscaler:
    """An upscaler of NumPy arrays.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.
        precise: compute in float32 instead of bfloat16 with sums in float32.

    Raises:
        ModelError: the weights are not those that the config asks for.
    """

    def __init__(self, config: dict[str, Any], state: dict[str, np.ndarray], precise: bool = False):
        manifest.check("upscaler", config, state)
        self.factor, self.cell = config["factor"], config["cell"]
        self.first, self.last = (Convolution(state, name, precise) for name in ("first", "last"))
        self.blocks = [
            [Convolution(state, f"blocks.{number}.{name}", precise) for name in ("first", "second")]
            for number in range(config["layers"])
        ]

    @classmethod
    def load(cls, folder: str | Path, precise: bool = False) -> Self:
        """Read an upscaler's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(*manifest.read_arrays("upscaler", folder), precise)

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in what comes out
    def __call__(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """(B, C, S·H, S·W) float32: see ``Upscaler.forward``."""
        x_BhwC = self.first(unshuffled(pixels_BCHW, self.cell))
        for first, second in self.blocks:
            inner_BhwC = first(x_BhwC)
            inner_BhwC /= 1 + np.exp(-inner_BhwC)
            x_BhwC += second(inner_BhwC)
        added_BCHW = shuffled(self.last(x_BhwC), self.factor * self.cell)
        manifest.check_finite("upscaler", added_BCHW)
        return enlarged(pixels_BCHW, self.factor) + added_BCHW


class Convolution:
    """3 by 3 places, with the border continued."""

    def __init__(self, state: dict[str, np.ndarray], name: str, precise: bool):
        weight_OC33 = to_float(state[f"{name}.weight"])
        weight_OX = weight_OC33.transpose(0, 2, 3, 1).reshape(len(weight_OC33), -1)
        self.spare = -weight_OX.shape[1] % MULTIPLE  # columns of zeros, since native code wants multiples
        weight_OX = np.pad(weight_OX, ((0, 0), (0, self.spare)))
        self.product = kernels.linear(weight_OX, state[f"{name}.bias"], precise=precise)

    def __call__(self, x_BhwC: np.ndarray) -> np.ndarray:
        """(B, h, w, O) of (B, h, w, C)."""
        B, h, w, C = x_BhwC.shape
        padded = np.pad(x_BhwC, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        windows = np.empty((B, h, w, 9 * C + self.spare), np.float32)
        windows[..., 9 * C :] = 0
        for number in range(9):
            row, column = divmod(number, 3)
            windows[..., number * C : (number + 1) * C] = padded[:, row : row + h, column : column + w]
        return self.product(windows.reshape(B * h * w, -1)).reshape(B, h, w, -1)


def unshuffled(pixels_BCHW: np.ndarray, cell: int) -> np.ndarray:
    """Pixels → (B, h, w, C·cell²): each cell's pixels as channels, as ``torch.nn.functional.pixel_unshuffle``."""
    B, C, H, W = pixels_BCHW.shape
    cells = pixels_BCHW.reshape(B, C, H // cell, cell, W // cell, cell)
    return cells.transpose(0, 2, 4, 1, 3, 5).reshape(B, H // cell, W // cell, -1)


def shuffled(x_BhwC: np.ndarray, side: int) -> np.ndarray:
    """(B, h, w, C·side²) → (B, C, h·side, w·side), as ``torch.nn.functional.pixel_shuffle``."""
    B, h, w, _ = x_BhwC.shape
    cells = x_BhwC.reshape(B, h, w, -1, side, side)
    return np.ascontiguousarray(cells.transpose(0, 3, 1, 4, 2, 5)).reshape(B, -1, h * side, w * side)


def enlarged(pixels_BCHW: np.ndarray, factor: int) -> np.ndarray:
    """(B, C, S·H, S·W), bilinear."""
    rows, columns = (bilinear(side, factor) for side in pixels_BCHW.shape[2:])
    return rows @ pixels_BCHW @ columns.T


def bilinear(side: int, factor: int) -> np.ndarray:
    """(factor·side, side) float32: the weights of old pixels in new ones, whose centres lie at (i + ½) / factor."""
    places = np.clip((np.arange(side * factor) + 0.5) / factor - 0.5, 0, side - 1)
    below = np.minimum(places.astype(int), max(side - 2, 0))
    share, rows = places - below, np.arange(side * factor)
    weights = np.zeros((side * factor, side), np.float32)
    weights[rows, below] = 1 - share
    weights[rows, np.minimum(below + 1, side - 1)] += share
    return weights
