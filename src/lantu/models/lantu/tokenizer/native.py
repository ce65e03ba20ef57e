"""Pictures to codes on the native kernels, without torch: the same codes as ``lantu.models.lantu.tokenizer.model``.

Shapes: B batch, H W pixels, h w grid, N = h·w, T = B·N, E code width, K codebook size, L codes of a cell.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lantu import kernels
from lantu.errors import ModelError
from lantu.kernels import Segment, blocks, to_float
from lantu.weights import manifest


class NativeEncoder:
    """Encoder and quantiser, all in float32, for rounding must not change a code.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.

    Raises:
        ModelError: the weights are not those that the config asks for, or there is no codebook yet.
    """

    TORCH = ("stem", "queries", "latents")  # options that only torch computes

    def __init__(self, config: dict[str, Any], state: dict[str, np.ndarray]):
        manifest.check("tokenizer", config, state)
        self.patch, self.kind, width = config["patch"], config["quantizer"], config["width"]
        # Tokenizers of 0.1 have neither.
        self.rim = ((config.get("reach") or self.patch) - self.patch) // 2
        self.window = config.get("encoder_window") or 0
        self.levels = np.array(config["levels"] or (), np.float32)
        self.embed, self.out = (
            kernels.linear(state[f"encoder.{name}.weight"], state[f"encoder.{name}.bias"], precise=True)
            for name in ("patches", "out")
        )
        self.stack = None
        if config["encoder_layers"]:
            layers = blocks.layers(state, "encoder.blocks.", config["encoder_layers"])
            self.stack = kernels.stack(blocks.shape_of(layers, width, max(1, width // 64)), layers, precise=True)
        if self.kind == "vq" and not state["quantizer.inner._codebook.initted"]:
            raise ModelError("the image tokenizer has no codebook yet", "train it first")
        self.vectors_KE, self.levels_LKE = vectors(self.kind, state), levels(config.get("depth") or 1, state)

    @classmethod
    def load(cls, folder: str | Path) -> "NativeEncoder":
        """Read a tokenizer's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(*manifest.read_arrays("tokenizer", folder))

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in what comes out
    def encode(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """Pictures in [-1, 1], sides multiples of the patch → codes (B, h, w) int64."""
        height = pixels_BCHW.shape[2] // self.patch
        return self.codes(self.vectors_of(pixels_BCHW)).reshape(len(pixels_BCHW), height, -1)

    def distances(self, pixels_BCHW: np.ndarray) -> np.ndarray | None:
        """The squared distance of each cell to each code vector, (B, N, K) float32; None without one code a cell."""
        if self.vectors_KE is None:
            return None
        z_TE = self.vectors_of(pixels_BCHW)
        distance_TK = (z_TE**2).sum(1)[:, None] + (self.vectors_KE**2).sum(1) - 2 * z_TE @ self.vectors_KE.T
        return distance_TK.reshape(len(pixels_BCHW), -1, len(self.vectors_KE))

    @property
    def variance(self) -> float:
        """The mean squared distance of the code vectors from their mean; 0 for a lattice."""
        return 0.0 if self.vectors_KE is None else float(self.vectors_KE.var(0).sum())

    def vectors_of(self, pixels_BCHW: np.ndarray) -> np.ndarray:
        """The vector of each cell before quantisation: (T, E)."""
        B, _, H, W = pixels_BCHW.shape
        height, width = H // self.patch, W // self.patch
        N = height * width
        x_TD = self.embed(blocks.to_windows(pixels_BCHW, self.patch, self.rim).reshape(B * N, -1))
        if self.stack:
            order_N, sizes = windows(height, width, self.window)
            rotation_2NK = blocks.rotation(height, width, self.stack.shape.head_width)[:, order_N]
            segments = [Segment(self.stack.cache(size), size, causal=False) for _ in range(B) for size in sizes]
            order_T = (order_N + N * np.arange(B)[:, None]).flatten()
            y_TD = np.empty_like(x_TD)
            y_TD[order_T] = self.stack.forward(x_TD[order_T], np.tile(rotation_2NK, (1, B, 1)), segments)
            x_TD = y_TD
        return self.out(x_TD)

    def codes(self, z_TE: np.ndarray) -> np.ndarray:
        """The nearest code vector, or point of the lattice: (T) int64; (T, L) where a cell has several codes."""
        manifest.check_finite("tokenizer", z_TE)
        if self.levels_LKE:
            return residual(z_TE, self.levels_LKE)
        if self.vectors_KE is None:
            return lattice(z_TE, self.levels)
        return nearest(z_TE, self.vectors_KE)


def windows(height: int, width: int, window: int) -> tuple[np.ndarray, list[int]]:
    """An order of a grid's cells that keeps each window (0: the whole grid) together, and the windows' sizes."""
    if not window:
        return np.arange(height * width), [height * width]
    number_N = (np.arange(height)[:, None] // window * width + np.arange(width) // window).flatten()
    return np.argsort(number_N, kind="stable"), np.unique(number_N, return_counts=True)[1].tolist()


def vectors(kind: str, state: dict[str, np.ndarray]) -> np.ndarray | None:
    """The code vectors (K, E), as vector-quantize-pytorch names them; None for a lattice, or for several a cell."""
    if kind == "vq":
        return to_float(state["quantizer.inner._codebook.embed"])[0]
    if kind == "following" and "quantizer.inner.codebook" in state:
        return to_float(state["quantizer.inner.codebook"])
    if kind == "simvq":
        frozen_KE, map_EE = (
            to_float(state[f"quantizer.inner.{name}"]) for name in ("frozen_codebook", "code_transform.weight")
        )
        return frozen_KE @ map_EE.T
    return None


def levels(depth: int, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The code vectors (K, E) of each level where a cell has several codes; [] elsewhere."""
    names = [f"quantizer.inner.levels.{level}.codebook" for level in range(depth)] if depth > 1 else []
    return [to_float(state[name]) for name in names]


def nearest(z_TE: np.ndarray, vectors_KE: np.ndarray) -> np.ndarray:
    """(T) int64: the nearest code vector of each vector."""
    return ((vectors_KE**2).sum(1) - 2 * z_TE @ vectors_KE.T).argmin(1)


def residual(z_TE: np.ndarray, levels_LKE: list[np.ndarray]) -> np.ndarray:
    """(T, L) int64: at each level the nearest code vector of what the levels before it have left.

    The codes of a level follow those of the level before it.
    """
    codes = []
    for level, vectors_KE in enumerate(levels_LKE):
        codes_T = nearest(z_TE, vectors_KE)
        codes.append(codes_T + level * len(vectors_KE))
        z_TE = z_TE - vectors_KE[codes_T]
    return np.stack(codes, 1)


def lattice(z_TE: np.ndarray, levels_E: np.ndarray, eps: float = 1e-3) -> np.ndarray:
    """Finite scalar quantisation (arXiv:2309.15505): each axis is bounded to its levels and rounded; (T) int64.

    The first axis is the least significant digit of the code.
    """
    half = (levels_E - 1) * (1 + eps) / 2
    offset = np.where(levels_E % 2 == 0, np.float32(0.5), np.float32(0))
    bounded = np.tanh(z_TE + np.arctanh(offset / half)) * half - offset
    digits = (np.rint(bounded) + levels_E // 2).astype(np.int64)
    return digits @ np.concatenate([[1], np.cumprod(levels_E[:-1])]).astype(np.int64)
