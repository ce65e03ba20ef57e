"""What a continuous model has beside its language model, on the kernels, without torch; equal to ``network``.

Shapes: R rows, S steps, E numbers of a vector, D width of the language model, W width of the head.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lantu import kernels
from lantu.kernels import Linear, blocks, to_float
from lantu.models.lantu.decoder.native import sinusoids
from lantu.rivals.continuous.padded import PaddedLinear
from lantu.rivals.continuous.sampling import denoise
from lantu.weights import manifest


class NativeVectors:
    """See ``network.Vectors`` and ``backend.Head``; all in float32.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.
        norm_D, eps: the language model's final norm, which its hidden states have not passed yet.

    Raises:
        ModelError: the weights are not those that the config asks for.
    """

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, np.ndarray], norm_D: np.ndarray, eps: float):
        manifest.check("vectors", config, state)
        self.state, self.norm = state, {"norm": to_float(norm_D), "eps": eps}
        self.mean_E, self.scale_E = to_float(state["mean"]), to_float(state["scale"])
        self.into = self.reader("into")
        self.diffuses = config["head"] == "diffusion"
        if self.diffuses:
            self.condition = self.linear("head.condition", **self.norm)
            self.noisy = self.reader("head.noisy")
            self.modulate, self.out = (self.linear(f"head.{name}") for name in ("modulate", "out"))
            self.time = [self.linear(f"head.time.{at}") for at in (0, 2)]
            self.norm_W = to_float(state["head.norm.weight"])
            self.blocks = [self.block(f"head.blocks.{number}.") for number in range(config["layers"])]
        else:
            self.out = self.linear("head.out", **self.norm)

    @classmethod
    def load(cls, folder: str | Path, norm_D: np.ndarray, eps: float) -> "NativeVectors":
        """Read its folder. Raises ModelError where it is missing or damaged."""
        return cls(*manifest.read_arrays("vectors", folder), norm_D, eps)

    def linear(self, name: str, **norm: Any) -> Linear:
        """A layer of that name."""
        return kernels.linear(self.state[f"{name}.weight"], self.state[f"{name}.bias"], precise=True, **norm)

    def reader(self, name: str) -> PaddedLinear:
        """A layer of that name, which reads vectors of any width."""
        return PaddedLinear(self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def block(self, name: str) -> tuple[np.ndarray, Linear, Linear, Linear]:
        """Norm, modulation and layers of a ``network.Residual``."""
        modulate, up, down = (self.linear(name + part) for part in ("modulate", "up", "down"))
        return to_float(self.state[f"{name}norm.weight"]), modulate, up, down

    def embed(self, vectors_RE: np.ndarray) -> np.ndarray:
        """Scaled vectors → input embeddings (R, D)."""
        return self.into(vectors_RE)

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in what comes out
    def sample(
        self,
        hidden_RD: np.ndarray,
        unconditional_RD: np.ndarray | None,
        guidance_R1: np.ndarray,
        temperature_R1: np.ndarray,
        noise_SRE: np.ndarray,
    ) -> np.ndarray:
        """See ``backend.Head``."""
        sides = [hidden_RD] if unconditional_RD is None else [hidden_RD, unconditional_RD]
        if not self.diffuses:
            found_RE = guided([self.out(side) for side in sides], guidance_R1)
        else:
            told = [self.condition(side) for side in sides]

            def predict(noisy_RE: np.ndarray, time: float) -> np.ndarray:
                return guided([self.velocity(noisy_RE, time, side) for side in told], guidance_R1)

            found_RE = denoise(predict, noise_SRE, temperature_R1)
        manifest.check_finite("vectors", found_RE)
        return found_RE

    def velocity(self, noisy_RE: np.ndarray, time: float, condition_RW: np.ndarray) -> np.ndarray:
        """One pass of the diffusion head."""
        told_RW = silu(self.time[1](silu(self.time[0](sinusoids(time)[None]))) + condition_RW)
        x_RW = self.noisy(noisy_RE)
        for norm_W, modulate, up, down in self.blocks:
            shift, scale, gate = np.split(modulate(told_RW), 3, -1)
            inner_RW = normalised(x_RW, norm_W) * (1 + scale) + shift
            x_RW = x_RW + gate * down(silu(up(inner_RW)))
        shift, scale = np.split(self.modulate(told_RW), 2, -1)
        return self.out(normalised(x_RW, self.norm_W) * (1 + scale) + shift)


def guided(sides: list[np.ndarray], guidance_R1: np.ndarray) -> np.ndarray:
    """The conditional value, or away from the unconditional one."""
    return sides[0] if len(sides) == 1 else sides[1] + guidance_R1 * (sides[0] - sides[1])


def silu(x: np.ndarray) -> np.ndarray:
    """x times its logistic."""
    return x / (1 + np.exp(-x))


def normalised(x_RW: np.ndarray, weight_W: np.ndarray) -> np.ndarray:
    """The root-mean-square norm of each row."""
    return x_RW / np.sqrt((x_RW * x_RW).mean(-1, keepdims=True) + np.float32(blocks.EPS)) * weight_W
