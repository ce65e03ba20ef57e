"""Noise schedules: how much noise the pictures have that a denoiser was trained on, at each timestep.

All have the form ``x_t = α_t · x + σ_t · ε`` with ε normal, and differ only by a scale: divided by α_t + σ_t each is
the straight path of flow matching,

    x̄_t = t · x + (1 - t) · ε,   t = α / (α + σ)   (0 is noise, 1 the picture)

Samplers know only this path (``lantu.diffusion.samplers``); a schedule says by which factor to scale x̄_t and which
timestep to give to the denoiser. The signal-to-noise ratio α/σ = t / (1 - t) is the same on both sides, and with
it the clean estimate (arXiv:2206.00364, appendix C; arXiv:2403.03206, section 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Protocol

import numpy as np

from lantu.diffusion.samplers import MIN_NOISE, times
from lantu.errors import ModelError


class NoiseSchedule(Protocol):
    """A noise schedule: see the docstring of this module."""

    @property
    def min_noise(self) -> float:
        """The lower bound of 1 - t where a velocity is divided by it."""
        ...

    def scale(self, t: float) -> float:
        """α + σ at time t: the factor from the straight path to x_t."""
        ...

    def timestep(self, t: float) -> float:
        """The timestep that the denoiser is given for time t."""
        ...

    def times(self, steps: int, latents: int = 0) -> list[float]:
        """The times of a sampler's steps, ascending: ``steps`` + 1 of them, the last one 1.

        Args:
            latents: how many positions are denoised, H · W: some schedules spend more steps on the noise of large ones.
        """
        ...

    def training_time(self, chance: float, latents: int = 0) -> float:
        """The time of a training example, distributed as the denoiser knows it.

        Args:
            chance: uniform in [0, 1).
            latents: as of ``times``.
        """
        ...


@dataclass(frozen=True)
class DynamicShift:
    """A shift that grows with the picture (FLUX.1, Stable Diffusion 3.5): its logarithm is a line through two sizes.

    Attributes:
        least, most: the logarithm of the shift (the shift itself, if ``linear``) at the two sizes.
        few, many: the sizes, in tokens of 2 × 2 latents.
    """

    least: float = 0.5
    most: float = 1.15
    few: int = 256
    many: int = 4096
    linear: bool = False

    def of(self, latents: int) -> float:
        """The shift for so many latents."""
        slope = (self.most - self.least) / (self.many - self.few)
        value = self.least + slope * (latents / 4 - self.few)
        return value if self.linear else math.exp(value)


@dataclass(frozen=True)
class FlowSchedule:
    """The straight path itself: α = t, σ = 1 - t (arXiv:2209.03003, arXiv:2210.02747).

    Attributes:
        train_steps: 0 for denoisers that are given t; else they are given ``train_steps · (1 - t)``, as those of
            diffusers are.
        shift: above 1 more of the steps are spent on noise (arXiv:2403.03206, equation 23).
        dynamic: in the place of ``shift``, one that depends on the number of latents.
        min_noise: of the loss that the denoiser was trained with (arXiv:2511.13720).
    """

    train_steps: int = 0
    shift: float = 1.0
    min_noise: float = MIN_NOISE
    dynamic: DynamicShift | None = None

    def scale(self, t: float) -> float:
        """1."""
        return 1.0

    def timestep(self, t: float) -> float:
        """See ``train_steps``."""
        return self.train_steps * (1 - t) if self.train_steps else t

    def times(self, steps: int, latents: int = 0) -> list[float]:
        """Evenly spaced, then shifted towards noise."""
        even, shift = times(steps), self.shift_of(latents)
        return even if shift == 1 else [t / (t + shift * (1 - t)) for t in even]

    def training_time(self, chance: float, latents: int = 0) -> float:
        """The logistic of a normal number, shifted (arXiv:2403.03206, section 3.1, with m = 0 and s = 1)."""
        t = 1 / (1 + math.exp(-NormalDist().inv_cdf(min(max(chance, 1e-6), 1 - 1e-6))))
        return t / (t + self.shift_of(latents) * (1 - t))

    def shift_of(self, latents: int) -> float:
        """The shift for so many latents."""
        return self.dynamic.of(latents) if self.dynamic else self.shift


@dataclass(frozen=True)
class DDPMSchedule:
    """Discrete steps of a variance-preserving diffusion: α² + σ² = 1 (arXiv:2006.11239).

    Attributes:
        alphas_cumprod: ᾱ = α² of each training step, descending; step 0 has the least noise.
    """

    alphas_cumprod: tuple[float, ...]
    min_noise: float = 0.0

    def __post_init__(self):
        values = np.array(self.alphas_cumprod)
        if values.ndim != 1 or len(values) < 2 or not ((values > 0) & (values < 1)).all():
            raise ModelError("a noise schedule needs two values of ᾱ or more, between 0 and 1", "check its config")
        if (np.diff(values) >= 0).any():
            raise ModelError("ᾱ of a noise schedule doesn't fall from step to step", "check its config")

    @classmethod
    def linear(cls, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> "DDPMSchedule":
        """β grows linearly (arXiv:2006.11239, section 4)."""
        return cls.from_betas(np.linspace(first, last, steps))

    @classmethod
    def scaled_linear(cls, steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> "DDPMSchedule":
        """√β grows linearly: latent diffusion and Stable Diffusion (arXiv:2112.10752)."""
        return cls.from_betas(np.linspace(first**0.5, last**0.5, steps) ** 2)

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 0.008, largest: float = 0.999) -> "DDPMSchedule":
        """ᾱ falls as a squared cosine, β at most ``largest`` (arXiv:2102.09672, equation 17)."""
        along = (np.arange(steps + 1) / steps + offset) / (1 + offset)
        cumulative = np.cos(along * math.pi / 2) ** 2
        return cls.from_betas(np.minimum(1 - cumulative[1:] / cumulative[:-1], largest))

    @classmethod
    def from_betas(cls, betas: "Sequence[float] | np.ndarray") -> "DDPMSchedule":
        """ᾱ = ∏ (1 - β)."""
        return cls(tuple(np.cumprod(1 - np.asarray(betas, np.float64)).tolist()))

    @cached_property
    def flow_times(self) -> np.ndarray:
        """t of each training step: α / (α + σ), descending."""
        squares = np.array(self.alphas_cumprod)
        return np.sqrt(squares) / (np.sqrt(squares) + np.sqrt(1 - squares))

    def scale(self, t: float) -> float:
        """1 / √(t² + (1 - t)²), which makes α² + σ² = 1."""
        return 1 / math.hypot(t, 1 - t)

    def timestep(self, t: float) -> float:
        """The training step with this signal-to-noise ratio; between two of them log α/σ is interpolated."""
        if t in (0, 1):
            return 0.0 if t else len(self.alphas_cumprod) - 1.0
        own = self.flow_times
        ratios = np.log(own) - np.log1p(-own)
        return float(np.interp(-math.log(t / (1 - t)), -ratios, np.arange(len(own))))

    def training_time(self, chance: float, latents: int = 0) -> float:
        """That of any training step, all equally likely (arXiv:2006.11239, algorithm 1)."""
        return float(self.flow_times[min(int(chance * len(self.alphas_cumprod)), len(self.alphas_cumprod) - 1)])

    def times(self, steps: int, latents: int = 0) -> list[float]:
        """Those of evenly spaced training steps, the noisiest first ("trailing", arXiv:2305.08891, table 2), then 1."""
        count = len(self.alphas_cumprod)
        chosen = np.round(np.linspace(count, 0, min(steps, count), endpoint=False)).astype(int) - 1
        return [*self.flow_times[chosen].tolist(), 1.0]
