"""What a continuous model has beside its language model, on the kernels, without torch; equal to ``network``.

Shapes: R rows, T of their conditions, S steps, E numbers of a vector, D width of the language model, W of the head.
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
            names = [f"head.blocks.{number}." for number in range(config["layers"])]
            self.noisy, self.out = self.reader("head.noisy"), self.linear("head.out")
            self.modulate = self.joined([*(f"{name}modulate" for name in names), "head.modulate"])
            self.time = [self.linear(f"head.time.{at}") for at in (0, 2)]
            self.times: dict[float, np.ndarray] = {}
            self.norm_W = to_float(state["head.norm.weight"])
            self.ends = [3 * len(self.norm_W) * (number + 1) for number in range(len(names))]  # of modulations
            self.blocks = [self.block(name) for name in names]
            self.alone = kernels.ThreadGroup(1)  # its products are too small to share
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

    def joined(self, names: list[str]) -> Linear:
        """Layers of these names as one, for many small products cost more than a large one."""
        weights, biases = ([to_float(self.state[f"{name}.{part}"]) for name in names] for part in ("weight", "bias"))
        return kernels.linear(np.concatenate(weights), np.concatenate(biases), precise=True)

    def block(self, name: str) -> tuple[np.ndarray, Linear, Linear]:
        """Norm and layers of a ``network.Residual``."""
        up, down = (self.linear(name + part) for part in ("up", "down"))
        return to_float(self.state[f"{name}norm.weight"]), up, down

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
        sides_TD = hidden_RD if unconditional_RD is None else np.concatenate([hidden_RD, unconditional_RD])
        if not self.diffuses:
            found_RE = guided(self.out(sides_TD), guidance_R1)
        else:
            condition_TW = self.condition(sides_TD)

            def predict(noisy_RE: np.ndarray, time: float) -> np.ndarray:
                return guided(self.velocity(noisy_RE, time, condition_TW), guidance_R1)

            with self.alone:
                found_RE = denoise(predict, noise_SRE, temperature_R1)
        manifest.check_finite("vectors", found_RE)
        return found_RE

    def velocity(self, noisy_RE: np.ndarray, time: float, condition_TW: np.ndarray) -> np.ndarray:
        """One pass of the diffusion head for each condition: those of all rows, then perhaps as many unconditional."""
        told_TW = silu(self.embedded(time) + condition_TW)
        *modulations, last = np.split(self.modulate(told_TW), self.ends, -1)
        x_TW = np.tile(self.noisy(noisy_RE), (len(condition_TW) // len(noisy_RE), 1))
        for (norm_W, up, down), modulation in zip(self.blocks, modulations, strict=True):
            shift, scale, gate = np.split(modulation, 3, -1)
            inner_TW = normalised(x_TW, norm_W) * (1 + scale) + shift
            x_TW = x_TW + gate * down(silu(up(inner_TW)))
        shift, scale = np.split(last, 2, -1)
        return self.out(normalised(x_TW, self.norm_W) * (1 + scale) + shift)

    def embedded(self, time: float) -> np.ndarray:
        """(1, W): of a time; kept, since every vector is denoised at the same ones."""
        if time not in self.times:
            self.times[time] = self.time[1](silu(self.time[0](sinusoids(time)[None])))
        return self.times[time]


def guided(sides_TE: np.ndarray, guidance_R1: np.ndarray) -> np.ndarray:
    """The conditional values, or away from the unconditional ones, which follow them."""
    count = len(guidance_R1)
    if len(sides_TE) == count:
        return sides_TE
    return sides_TE[count:] + guidance_R1 * (sides_TE[:count] - sides_TE[count:])


def silu(x: np.ndarray) -> np.ndarray:
    """x times its logistic."""
    return x / (1 + np.exp(-x))


def normalised(x_RW: np.ndarray, weight_W: np.ndarray) -> np.ndarray:
    """The root-mean-square norm of each row."""
    return x_RW / np.sqrt((x_RW * x_RW).mean(-1, keepdims=True) + np.float32(blocks.EPS)) * weight_W
