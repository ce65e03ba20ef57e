"""What a continuous model has beside its language model, on torch: vectors in, vectors out.

Shapes: M vectors, R rows, S steps, E numbers of a vector, D width of the language model, W width of the head.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lantu.models.lantu import saving
from lantu.models.lantu.decoder.network import sinusoids
from lantu.models.lantu.layers import RMSNorm
from lantu.rivals.continuous.config import VectorConfig
from lantu.rivals.continuous.sampling import denoise
from lantu.weights.manifest import check_finite


class Vectors(nn.Module):
    """Scaling of vectors, their projection into the language model, and a head on its normalised hidden states."""

    def __init__(self, config: VectorConfig):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("scale", torch.ones(config.channels))
        self.into = nn.Linear(config.channels, config.width)
        self.head: Any = Regression(config) if config.head == "regression" else Diffusion(config)

    def embed(self, vectors_RE: np.ndarray) -> np.ndarray:
        """Scaled vectors → input embeddings (R, D)."""
        with torch.inference_mode():
            made = self.into(torch.from_numpy(vectors_RE).to(self.into.weight.device))
        return made.float().cpu().numpy()

    @torch.inference_mode()
    def sample(
        self,
        hidden_RD: Tensor,
        unconditional_RD: Tensor | None,
        guidance_R1: np.ndarray,
        temperature_R1: np.ndarray,
        noise_SRE: np.ndarray,
    ) -> np.ndarray:
        """See ``backend.Head``."""
        numbers = (torch.from_numpy(each).to(hidden_RD.device) for each in (guidance_R1, temperature_R1, noise_SRE))
        found_RE = self.head.sample(hidden_RD.float(), unconditional_RD, *numbers).cpu().numpy()
        check_finite("vectors", found_RE)
        return found_RE

    def save(self, folder: str | Path) -> None:
        """Write config.json and safetensors."""
        saving.save(self, self.config, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Vectors":
        """Read what ``save`` wrote, ready for inference. Raises ModelError where it is missing or damaged."""
        return saving.load(lambda config: cls(VectorConfig(**config)), "vectors", folder)


class Regression(nn.Module):
    """The mean of the next vector (arXiv:2307.05222, section 2.2)."""

    def __init__(self, config: VectorConfig):
        super().__init__()
        self.out = nn.Linear(config.width, config.channels)

    def loss(self, hidden_MD: Tensor, vectors_ME: Tensor, generator: torch.Generator, repeats: int) -> Tensor:
        """The mean squared error."""
        return (self.out(hidden_MD).float() - vectors_ME).square().mean()

    def sample(
        self, hidden_RD: Tensor, unconditional_RD: Tensor | None, guidance_R1: Tensor, *others: Tensor
    ) -> Tensor:
        """The mean, guided by extrapolation; neither temperature nor noise matter."""
        found_RE = self.out(hidden_RD)
        if unconditional_RD is None:
            return found_RE
        without_RE = self.out(unconditional_RD.float())
        return without_RE + guidance_R1 * (found_RE - without_RE)


class Diffusion(nn.Module):
    """A small network that denoises the next vector (arXiv:2406.11838, section 3.1): residual blocks of two layers,
    modulated by the time and the language model's hidden state.
    """

    def __init__(self, config: VectorConfig):
        super().__init__()
        W, E = config.inner, config.channels
        self.noisy, self.condition = nn.Linear(E, W), nn.Linear(config.width, W)
        self.time = nn.Sequential(nn.Linear(128, W), nn.SiLU(), nn.Linear(W, W))
        self.blocks = nn.ModuleList(Residual(W) for _ in range(config.layers))
        self.norm, self.modulate, self.out = RMSNorm(W), nn.Linear(W, 2 * W), nn.Linear(W, E)
        for layer in (self.modulate, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, noisy_RE: Tensor, time_R: Tensor, hidden_RD: Tensor) -> Tensor:
        """Velocities (R, E)."""
        told_RW = nn.functional.silu(self.time(sinusoids(time_R)) + self.condition(hidden_RD))
        x_RW = self.noisy(noisy_RE)
        for block in self.blocks:
            x_RW = block(x_RW, told_RW)
        shift, scale = self.modulate(told_RW).chunk(2, -1)
        return self.out(self.norm(x_RW) * (1 + scale) + shift)

    def loss(self, hidden_MD: Tensor, vectors_ME: Tensor, generator: torch.Generator, repeats: int) -> Tensor:
        """The mean squared error of the velocity.

        Args:
            repeats: times at which each vector is denoised, for one pass of the language model.
        """
        hidden_RD, clean_RE = hidden_MD.repeat(repeats, 1), vectors_ME.repeat(repeats, 1)
        time_R = torch.rand(len(clean_RE), generator=generator, device=clean_RE.device)
        noise_RE = torch.randn(clean_RE.shape, generator=generator, device=clean_RE.device)
        angle = (math.pi / 2 * time_R)[:, None]
        noisy_RE = angle.cos() * clean_RE + angle.sin() * noise_RE
        wanted_RE = angle.cos() * noise_RE - angle.sin() * clean_RE
        return (self(noisy_RE, time_R, hidden_RD).float() - wanted_RE).square().mean()

    def sample(
        self,
        hidden_RD: Tensor,
        unconditional_RD: Tensor | None,
        guidance_R1: Tensor,
        temperature_R1: Tensor,
        noise_SRE: Tensor,
    ) -> Tensor:
        """A vector of the guided distribution for each row."""

        def predict(noisy_RE: Tensor, time: float) -> Tensor:
            time_R = noisy_RE.new_full((len(noisy_RE),), time)
            found_RE = self(noisy_RE, time_R, hidden_RD)
            if unconditional_RD is None:
                return found_RE
            without_RE = self(noisy_RE, time_R, unconditional_RD.float())
            return without_RE + guidance_R1 * (found_RE - without_RE)

        return denoise(predict, noise_SRE, temperature_R1)


class Residual(nn.Module):
    """Norm, modulation, two layers, a gate; the gate starts at zero."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.modulate = RMSNorm(width), nn.Linear(width, 3 * width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x_RW: Tensor, told_RW: Tensor) -> Tensor:
        """The same shape."""
        shift, scale, gate = self.modulate(told_RW).chunk(3, -1)
        inner_RW = self.norm(x_RW) * (1 + scale) + shift
        return x_RW + gate * self.down(nn.functional.silu(self.up(inner_RW)))
