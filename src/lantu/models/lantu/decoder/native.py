"""The diffusion decoder on the kernels, without torch; equal to ``lantu.models.lantu.decoder.network``.

Shapes: B batch, C = 3 channels, H W pixels, h w grid, N = h·w, D width, L layers.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from lantu import kernels
from lantu.kernels import Segment, blocks, to_float
from lantu.weights import manifest

TIMES_KEPT = 256


class NativeDenoiser:
    """Noisy pixels, a time and codes → clean pixels: see ``lantu.diffusion.sample.Denoiser``.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.
        precise: compute in float32 instead of bfloat16 with sums in float32.

    Raises:
        ModelError: the weights are not those that the config asks for.
    """

    def __init__(self, config: dict[str, Any], state: dict[str, np.ndarray], precise: bool = False):
        manifest.check("decoder", config, state)
        self.patch, width, count = config["patch"], config["width"], config["layers"]
        heads = max(1, width // 64)
        layers = blocks.layers(state, "blocks.", count)
        self.stack = kernels.stack(blocks.shape_of(layers, width, heads), layers, precise)
        self.tables_L6D = np.stack([to_float(state[f"blocks.{number}.table"]) for number in range(count)])
        self.codes_KD = to_float(state["codes.weight"])
        self.noisy = kernels.linear(state["noisy.weight"], state["noisy.bias"], precise=precise)
        self.time = [
            kernels.linear(state[f"time.{at}.weight"], state[f"time.{at}.bias"], precise=True) for at in (0, 2)
        ]
        # The window of overlapping patches is a part of the last matrix.
        weigh = blocks.window(self.patch)
        self.out = kernels.linear(
            to_float(state["out.linear.weight"]) * weigh[:, None],
            to_float(state["out.linear.bias"]) * weigh,
            precise=precise,
        )
        self.modulations: dict[float, np.ndarray] = {}
        self.caches: list[kernels.Cache] = []

    @classmethod
    def load(cls, folder: str | Path, precise: bool = False) -> "NativeDenoiser":
        """Read a decoder's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(*manifest.read_arrays("decoder", folder), precise)

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in what comes out
    def __call__(
        self,
        noisy_BCHW: np.ndarray,
        time: float,
        codes_Bhw: np.ndarray,
        control_residuals_2BND: np.ndarray | None = None,
    ) -> np.ndarray:
        B, height, width = codes_Bhw.shape
        N, D = height * width, self.codes_KD.shape[1]
        x_TD = self.noisy(blocks.to_patches(noisy_BCHW, self.patch).reshape(B * N, -1))
        x_TD += self.codes_KD[codes_Bhw.reshape(-1)]  # MASK_CODE is -1, and the last
        if control_residuals_2BND is not None:
            x_TD += control_residuals_2BND[0].reshape(x_TD.shape)
        turn = blocks.rotation(height, width, D // self.stack.shape.heads)
        spans = [Segment(cache, N, causal=False) for cache in self.rooms(B, N)]
        x_TD = self.stack.forward(x_TD, np.tile(turn, (1, B, 1)), spans, self.modulation(time))
        if control_residuals_2BND is not None:
            x_TD = x_TD + control_residuals_2BND[1].reshape(x_TD.shape)
        return blocks.add_up(self.out(x_TD), height, width, self.patch)

    @np.errstate(over="ignore", invalid="ignore")
    def modulation(self, time: float) -> np.ndarray:
        """(L, 6, D): what time does to each layer; kept, for samplers come back to the same times."""
        if time not in self.modulations:
            if len(self.modulations) == TIMES_KEPT:
                self.modulations.clear()
            hidden = self.time[0](waves(time)[None])
            shared = self.time[1](hidden / (1 + np.exp(-hidden)))
            self.modulations[time] = self.tables_L6D + shared.reshape(6, -1)
        return self.modulations[time]

    def rooms(self, count: int, places: int) -> list[kernels.Cache]:
        """Empty caches, one for each picture: scratch of a pass."""
        if len(self.caches) < count or self.caches[0].capacity < places:
            self.caches = [self.stack.cache(places) for _ in range(count)]
        for cache in self.caches:
            cache.used = 0
        return self.caches[:count]


class NativeControl:
    """A picture of control, its kind and codes → what is added to the decoder's tokens: see ``decoder.control``.

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
        """(2, B, N, D): see ``lantu.models.lantu.decoder.control.ControlNetwork.forward``."""
        B, height, width = codes_Bhw.shape
        out_T2D = self.out(self.seen(control_BCHW, kind, codes_Bhw))
        manifest.check_finite("control", out_T2D)
        return np.ascontiguousarray(out_T2D.reshape(B, height * width, 2, -1).transpose(2, 0, 1, 3))

    @np.errstate(over="ignore", invalid="ignore")
    def bias(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray, row: int) -> np.ndarray:
        """(B, w, K): see ``lantu.models.lantu.decoder.control.ControlNetwork.bias``."""
        B, _, width = codes_Bhw.shape
        nothing, there = len(self.kinds_XD) - 1, slice(row * width, (row + 1) * width)
        sights = self.seen(control_BCHW, kind, codes_Bhw), self.seen(np.zeros_like(control_BCHW), nothing, codes_Bhw)
        rows = (x_TD.reshape(B, -1, x_TD.shape[1])[:, there].reshape(B * width, -1) for x_TD in sights)
        with_TK, without_TK = (log_softmax(self.fit(x_TD)) for x_TD in rows)
        bias_TK = np.float32(self.strengths[kind]) * (with_TK - np.float32(self.prior) * without_TK)
        manifest.check_finite("control", bias_TK)
        return bias_TK.reshape(B, width, -1)

    @np.errstate(over="ignore", invalid="ignore")
    def seen(self, control_BCHW: np.ndarray, kind: int, codes_Bhw: np.ndarray) -> np.ndarray:
        """Control and codes, looked at together: (T, D)."""
        B, height, width = codes_Bhw.shape
        N, D = height * width, self.codes_KD.shape[1]
        x_TD = self.picture(blocks.to_patches(control_BCHW, self.patch).reshape(B * N, -1))
        x_TD += self.codes_KD[codes_Bhw.reshape(-1)] + self.kinds_XD[kind]
        turn = np.tile(blocks.rotation(height, width, D // self.stack.shape.heads), (1, B, 1))
        spans = [Segment(self.stack.cache(N), N, causal=False) for _ in range(B)]
        return self.stack.forward(x_TD, turn, spans)


def log_softmax(logits_TK: np.ndarray) -> np.ndarray:
    shifted_TK = logits_TK - logits_TK.max(-1, keepdims=True)
    return shifted_TK - np.log(np.exp(shifted_TK).sum(-1, keepdims=True))


def waves(time: float, width: int = 128) -> np.ndarray:
    """Sinusoids of time: (width) float32."""
    frequencies = np.exp(-math.log(1000.0) * np.arange(width // 2, dtype=np.float32) / (width // 2))
    angles = np.float32(1000.0 * time) * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)]).astype(np.float32)
