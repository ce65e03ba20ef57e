"""The diffusion decoder and its control on the native kernels, without torch.

They compute what ``network`` and ``control`` compute. Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w
cells, Q codes of a sequence, T = B·N, D width, K codebook size, L layers.
"""

import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from lantu import kernels
from lantu.diffusion.decoder import Conditioning
from lantu.kernels import Segment, blocks, to_float
from lantu.weights import manifest

MAX_MODULATIONS = 256  # kept


class NativeDenoiser:
    """The decoder as a ``lantu.diffusion.decoder.Denoiser`` of NumPy arrays that predicts the clean picture.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.
        precise: compute in float32 instead of bfloat16 with sums in float32.

    Raises:
        ModelError: the weights are not those that the config asks for.
    """

    part: ClassVar[str] = "decoder"  # what the manifest calls it

    def __init__(self, config: dict[str, Any], state: dict[str, np.ndarray], precise: bool = False):
        manifest.check(self.part, config, state)
        self.patch, width, count = config["patch"], config["width"], config["layers"]
        heads = max(1, width // 64)
        layers = blocks.layers(state, "blocks.", count)
        self.stack = kernels.stack(blocks.shape_of(layers, width, heads), layers, precise)
        self.tables_L6D = np.stack([to_float(state[f"blocks.{number}.table"]) for number in range(count)])
        self.codes_KD, self.depth = self.table(state), config.get("depth") or 1
        side = config.get("cells") or 0
        self.canvas = (side, side) if side else None  # where codes are a sequence
        if self.canvas:
            self.blank_D, self.places_QD = (to_float(state[f"canvas.{name}"]) for name in ("blank", "places"))
        self.noisy = kernels.linear(state["noisy.weight"], state["noisy.bias"], precise=precise)
        self.time = [
            kernels.linear(state[f"time.{at}.weight"], state[f"time.{at}.bias"], precise=True) for at in (0, 2)
        ]
        # The window of overlapping patches is folded into the last matrix.
        window = blocks.window(self.patch)
        self.out = kernels.linear(
            to_float(state["out.linear.weight"]) * window[:, None],
            to_float(state["out.linear.bias"]) * window,
            precise=precise,
        )
        self.alone = threading.Lock()  # a preview may be rendered beside a picture, and the memory below is one pass's
        self.modulations: dict[float, np.ndarray] = {}
        self.caches: list[kernels.Cache] = []
        self.patches = np.empty((0, 0), np.float32)  # of the last pass, the largest array of all: it is used again

    @classmethod
    def load(cls, folder: str | Path, precise: bool = False) -> Self:
        """Read a decoder's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(*manifest.read_arrays(cls.part, folder), precise)

    def table(self, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """The embedding of each code (K + 1, D); the last one is MASK_CODE."""
        return to_float(state["codes.weight"])

    def to_device(self, array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in what comes out
    def __call__(self, x_t_BCHW: np.ndarray, timestep: float, conditioning: Conditioning) -> np.ndarray:
        """The clean pictures (B, C, H, W) float32; passes of several threads take turns."""
        with self.alone:
            return self.predict(x_t_BCHW, timestep, conditioning)

    def predict(self, x_t_BCHW: np.ndarray, timestep: float, conditioning: Conditioning) -> np.ndarray:
        """One pass: (B, C, H, W) float32."""
        codes_Bhw, residuals_2BND = conditioning.codes_Bhw, conditioning.control_residuals_2BND
        if self.canvas:
            x_TD = self.read(x_t_BCHW, codes_Bhw.reshape(len(codes_Bhw), -1), timestep, *self.canvas)
            return self.paint(x_TD, *self.canvas)
        B, height, width = codes_Bhw.shape[0], codes_Bhw.shape[1], codes_Bhw.shape[2] // self.depth
        N, D = height * width, self.codes_KD.shape[1]
        x_TD = self.noisy(blocks.to_patches(x_t_BCHW, self.patch).reshape(B * N, -1))
        for codes_T in codes_Bhw.reshape(B * N, self.depth).T:
            x_TD += self.codes_KD[codes_T]  # MASK_CODE is -1, and the last
        if residuals_2BND is not None:
            x_TD += residuals_2BND[0].reshape(x_TD.shape)
        rotation_2NK = blocks.rotation(height, width, D // self.stack.shape.heads)
        segments = [Segment(cache, N, causal=False) for cache in self.scratch(B, N)]
        x_TD = self.stack.forward(x_TD, np.tile(rotation_2NK, (1, B, 1)), segments, self.modulation(timestep))
        if residuals_2BND is not None:
            x_TD = x_TD + residuals_2BND[1].reshape(x_TD.shape)
        return self.paint(x_TD, height, width)

    def read(self, x_t_BCHW: np.ndarray, codes_BQ: np.ndarray, timestep: float, height: int, width: int) -> np.ndarray:
        """(T, D): the cells after all blocks, in which they see the known codes of a sequence."""
        (B, _), N = codes_BQ.shape, height * width
        noisy_BND = self.noisy(blocks.to_patches(x_t_BCHW, self.patch).reshape(B * N, -1)).reshape(B, N, -1)
        cells_2NK = blocks.rotation(height, width, noisy_BND.shape[2] // self.stack.shape.heads)
        known = [np.flatnonzero(codes_Q >= 0) for codes_Q in codes_BQ]
        tokens, angles = [], []
        for noisy_ND, codes_Q, known_Q in zip(noisy_BND, codes_BQ, known, strict=True):
            tokens += [noisy_ND + self.blank_D, self.codes_KD[codes_Q[known_Q]] + self.places_QD[known_Q]]
            still_2QK = np.zeros((2, len(known_Q), cells_2NK.shape[2]), np.float32)
            still_2QK[0] = 1
            angles += [cells_2NK, still_2QK]
        counts = [N + len(known_Q) for known_Q in known]
        segments = [
            Segment(cache, count, causal=False)
            for cache, count in zip(self.scratch(B, max(counts)), counts, strict=True)
        ]
        rows = (np.concatenate(tokens), np.concatenate(angles, 1))
        x_TD = self.stack.forward(*rows, segments, self.modulation(timestep))
        firsts = np.cumsum([0, *counts[:-1]])
        return np.ascontiguousarray(x_TD[(firsts[:, None] + np.arange(N)).reshape(-1)])

    def paint(self, x_TD: np.ndarray, height: int, width: int) -> np.ndarray:
        """The pictures (B, C, H, W) that the cells of so many rows and columns paint."""
        if len(self.patches) != len(x_TD):
            self.patches = np.empty((len(x_TD), 4 * self.patch * self.patch * 3), np.float32)
        return blocks.add_up(self.out(x_TD, into=self.patches), height, width, self.patch)

    @np.errstate(over="ignore", invalid="ignore")
    def modulation(self, time: float) -> np.ndarray:
        """(L, 6, D): scale, shift and gate of each layer at a time; kept, since samplers use the same times again."""
        if time not in self.modulations:
            if len(self.modulations) == MAX_MODULATIONS:
                self.modulations.clear()
            inner = self.time[0](sinusoids(time)[None])
            shared = self.time[1](inner / (1 + np.exp(-inner)))
            self.modulations[time] = self.tables_L6D + shared.reshape(6, -1)
        return self.modulations[time]

    def scratch(self, count: int, tokens: int) -> list[kernels.Cache]:
        """Empty caches for the keys and values of one pass, one for each picture."""
        if len(self.caches) < count or self.caches[0].capacity < tokens:
            self.caches = [self.stack.cache(tokens) for _ in range(count)]
        for cache in self.caches:
            cache.used = 0
        return self.caches[:count]


class NativeControl:
    """A picture of control, its kind and the codes → what is added to the decoder's tokens: see ``control``.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.

    Raises:
        ModelError: the weights are not those that the config asks for.
    """

    def __init__(self, config: dict[str, Any], state: dict[str, np.ndarray], precise: bool = False):
        manifest.check("control", config, state)
        self.patch, width, count = config["patch"], config["width"], config["layers"]
        self.strengths, self.prior = tuple(config["strengths"]), config["prior"]
        layers = blocks.layers(state, "blocks.", count)
        self.stack = kernels.stack(blocks.shape_of(layers, width, max(1, width // 64)), layers, precise)
        self.picture = kernels.linear(state["picture.weight"], state["picture.bias"], precise=precise)
        self.kinds_XD, self.codes_KD = to_float(state["kinds.weight"]), to_float(state["codes.weight"])
        self.out = kernels.linear(state["out.weight"], state["out.bias"], precise=precise)
        self.fit = kernels.linear(state["fit.weight"], state["fit.bias"], precise=precise)

    @classmethod
    def load(cls, folder: str | Path, precise: bool = False) -> "NativeControl":
        """Read a control's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(*manifest.read_arrays("control", folder), precise)

    def __call__(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> np.ndarray:
        """(2, B, N, D): see ``ControlNetwork.forward``."""
        B, height, width = codes_Bhw.shape
        out_T2D = self.out(self.features(control_BCHW, kind, codes_Bhw))
        manifest.check_finite("control", out_T2D)
        return np.ascontiguousarray(out_T2D.reshape(B, height * width, 2, -1).transpose(2, 0, 1, 3))

    @np.errstate(over="ignore", invalid="ignore")
    def bias(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray, row: int) -> np.ndarray:
        """(B, w, K): see ``ControlNetwork.bias``."""
        B, _, width = codes_Bhw.shape
        no_control, there = len(self.kinds_XD) - 1, slice(row * width, (row + 1) * width)
        both = (
            self.features(control_BCHW, kind, codes_Bhw),
            self.features(np.zeros_like(control_BCHW), no_control, codes_Bhw),
        )
        rows = (x_TD.reshape(B, -1, x_TD.shape[1])[:, there].reshape(B * width, -1) for x_TD in both)
        with_TK, without_TK = (log_softmax(self.fit(x_TD)) for x_TD in rows)
        bias_TK = np.float32(self.strengths[kind]) * (with_TK - np.float32(self.prior) * without_TK)
        manifest.check_finite("control", bias_TK)
        return bias_TK.reshape(B, width, -1)

    @np.errstate(over="ignore", invalid="ignore")
    def features(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> np.ndarray:
        """Of control and codes together, (T, D): see ``ControlNetwork.features``."""
        B, height, width = codes_Bhw.shape
        N, D = height * width, self.codes_KD.shape[1]
        x_TD = self.picture(blocks.to_patches(control_BCHW, self.patch).reshape(B * N, -1))
        x_TD += self.codes_KD[codes_Bhw.reshape(-1)] + self.kinds_XD[kind]
        rotation_2TK = np.tile(blocks.rotation(height, width, D // self.stack.shape.heads), (1, B, 1))
        segments = [Segment(self.stack.cache(N), N, causal=False) for _ in range(B)]
        return self.stack.forward(x_TD, rotation_2TK, segments)


def log_softmax(logits_TK: np.ndarray) -> np.ndarray:
    """Logits → log-probabilities, each row by itself."""
    shifted_TK = logits_TK - logits_TK.max(-1, keepdims=True)
    return shifted_TK - np.log(np.exp(shifted_TK).sum(-1, keepdims=True))


def sinusoids(time: float, width: int = 128) -> np.ndarray:
    """The sinusoidal embedding of a time: (width) float32."""
    frequencies = np.exp(-math.log(1000.0) * np.arange(width // 2, dtype=np.float32) / (width // 2))
    angles = np.float32(1000.0 * time) * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)]).astype(np.float32)
