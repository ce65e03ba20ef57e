"""A pretrained network on the straight path, where samplers and distillation work, with a time for each picture.

The network itself goes on predicting by its own parameterisation and schedule (``lantu.diffusion.schedules``).
Shapes: B batch, C channels, H W sides of the latents, h w grid.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lantu.diffusion.distillation import Network
from lantu.diffusion.parameterisations import PARAMETERISATIONS
from lantu.diffusion.schedules import NoiseSchedule


@dataclass(frozen=True)
class StraightPath:
    """The path of latents of one size.

    Attributes:
        schedule, parameterisation: of the network.
        latents: positions, H · W.
    """

    schedule: NoiseSchedule
    parameterisation: str
    latents: int

    def times(self, steps: int) -> list[float]:
        """The times of a sampler's steps, from where the parameterisation is defined to 1."""
        first, *others = self.schedule.times(steps, self.latents)
        return [max(first, PARAMETERISATIONS[self.parameterisation].min_signal), *others]

    def training_time(self, chance_B: Tensor) -> Tensor:
        """Uniform numbers → times, distributed as the network knows them."""
        least = PARAMETERISATIONS[self.parameterisation].min_signal
        times = [max(self.schedule.training_time(chance, self.latents), least) for chance in chance_B.tolist()]
        return torch.tensor(times, device=chance_B.device)

    def clean(self, network: Any) -> Network:
        """(point of the straight path, time, codes) → the clean estimate (B, C, H, W) float32.

        Args:
            network: a ``PretrainedNetwork``.
        """
        of_prediction = PARAMETERISATIONS[self.parameterisation].clean

        def estimate(x_BCHW: Tensor, time_B: Tensor, codes_Bhw: Tensor) -> Tensor:
            times = time_B.tolist()
            scale_B = time_B.new_tensor([self.schedule.scale(t) for t in times])
            timestep_B = time_B.new_tensor([self.schedule.timestep(t) for t in times])
            alpha, sigma = ((scale_B * share)[:, None, None, None] for share in (time_B, 1 - time_B))
            x_t_BCHW = (alpha + sigma) * x_BCHW
            return of_prediction(network(x_t_BCHW, timestep_B, codes_Bhw).float(), x_t_BCHW, alpha, sigma)

        return estimate
