"""lantu's samplers as a scheduler of diffusers: times ascend from 0 (noise) to 1 (the picture), on straight paths
``x = t · picture + (1 - t) · noise``, and the model's output is the clean picture.
"""

from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils import BaseOutput
from torch import Tensor

SHIFT = 7919  # places by which the first noise is rolled along a picture, to be used again
SAMPLERS = ("euler", "heun", "consistency")


@dataclass
class LantuSchedulerOutput(BaseOutput):
    """The sample at the next time."""

    prev_sample: Tensor


class LantuScheduler(SchedulerMixin, ConfigMixin):
    """Steps from noise to a picture.

    Args:
        sampler: "euler" (first order), "heun" (second order, arXiv:2206.00364) or "consistency" (arXiv:2303.01469), for
            decoders that were trained for it.
        min_noise: the lower bound of 1 - t where a velocity is divided by it.

    Attributes:
        timesteps: the times at which the model is asked, after ``set_timesteps``.
    """

    init_noise_sigma = 1.0

    @register_to_config
    def __init__(self, sampler: str = "euler", min_noise: float = 0.05):
        if sampler not in SAMPLERS:
            raise ValueError(f"no sampler called {sampler}: choose one of {', '.join(SAMPLERS)}")
        self.set_timesteps(1)

    @property
    def order(self) -> int:
        """How often the model is asked in a step, but for the last of "heun"."""
        return 2 if self.config["sampler"] == "heun" else 1

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Evenly spaced times; "heun" asks twice at all but the first."""
        times = [step / num_inference_steps for step in range(num_inference_steps)]
        self.timesteps = [time for time in times for _ in range(2 if time and self.order == 2 else 1)]
        self.index = 0
        self.first: Tensor | None = None
        self.start: tuple[Tensor, float, Tensor] | None = None

    def scale_model_input(self, sample: Tensor, timestep: float | None = None) -> Tensor:
        """The sample itself."""
        return sample

    def step(self, model_output: Tensor, timestep: float, sample: Tensor) -> LantuSchedulerOutput:
        """The sample at the next time.

        Args:
            model_output: the clean pictures (B, C, H, W).
            timestep: the time of ``sample``.
        """
        if self.first is None:
            self.first = sample
        self.index += 1
        if self.index == len(self.timesteps):
            return LantuSchedulerOutput(model_output)
        then = self.timesteps[self.index]
        if self.config["sampler"] == "consistency":
            fresh = torch.roll(self.first.flatten(1), self.index * SHIFT, 1).view_as(sample)
            return LantuSchedulerOutput(then * model_output + (1 - then) * fresh)
        slope = (model_output - sample) / max(1 - timestep, self.config["min_noise"])
        if self.order == 1:
            return LantuSchedulerOutput(sample + (then - timestep) * slope)
        return LantuSchedulerOutput(self.second_order(slope, timestep, then, sample))

    def second_order(self, slope: Tensor, now: float, then: float, sample: Tensor) -> Tensor:
        """A guess at the next time; asked about that, the correction by the mean of both slopes."""
        if self.start is None:
            self.start = sample, now, slope
            return sample + (then - now) * slope
        before, time, first = self.start
        self.start = None
        return before + (now - time) * (first + slope) / 2
