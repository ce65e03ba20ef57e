"""The loss of a denoiser by its own parameterisation and noise schedule: what a pretrained model was trained with.

Shapes: B batch, C channels, H W sides of pictures or latents.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lantu.diffusion.parameterisations import PARAMETERISATIONS
from lantu.diffusion.schedules import NoiseSchedule


@dataclass(frozen=True)
class Noised:
    """Pictures or latents with noise, ``x_t = α · x + σ · ε``.

    Attributes:
        x_t_BCHW, noise_BCHW: x_t and ε.
        timestep_B: what the denoiser is given.
        time_B: t = α / (α + σ), 0 is noise.
        alpha_B111, sigma_B111: α and σ.
    """

    x_t_BCHW: Tensor
    noise_BCHW: Tensor
    timestep_B: Tensor
    time_B: Tensor
    alpha_B111: Tensor
    sigma_B111: Tensor


def noised(x_BCHW: Tensor, schedule: NoiseSchedule, generator: torch.Generator) -> Noised:
    """Noise of training times, each drawn as ``NoiseSchedule.training_time`` says."""
    chances = torch.rand(len(x_BCHW), generator=generator, device=x_BCHW.device).tolist()
    latents = x_BCHW.shape[2] * x_BCHW.shape[3]
    times = [schedule.training_time(chance, latents) for chance in chances]
    noise_BCHW = torch.randn(x_BCHW.shape, generator=generator, device=x_BCHW.device)
    return at_times(x_BCHW, noise_BCHW, times, schedule)


def at_times(x_BCHW: Tensor, noise_BCHW: Tensor, times: list[float], schedule: NoiseSchedule) -> Noised:
    """Each picture with its noise at its time t."""
    device = x_BCHW.device
    scale_B = torch.tensor([schedule.scale(t) for t in times], device=device)
    timestep_B = torch.tensor([schedule.timestep(t) for t in times], device=device)
    time_B = torch.tensor(times, device=device)
    alpha, sigma = ((scale_B * share)[:, None, None, None] for share in (time_B, 1 - time_B))
    return Noised(alpha * x_BCHW + sigma * noise_BCHW, noise_BCHW, timestep_B, time_B, alpha, sigma)


def denoising_loss(
    predict: Callable[[Tensor, Tensor], Tensor],
    x_BCHW: Tensor,
    schedule: NoiseSchedule,
    parameterisation: str,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared error of the prediction (arXiv:2006.11239, equation 14; arXiv:2403.03206, section 2).

    Args:
        predict: (x_t, timestep) → prediction.
        parameterisation: one of ``PARAMETERISATIONS``.
    """
    noisy = noised(x_BCHW, schedule, generator)
    target = PARAMETERISATIONS[parameterisation].target(x_BCHW, noisy.noise_BCHW, noisy.alpha_B111, noisy.sigma_B111)
    return (predict(noisy.x_t_BCHW, noisy.timestep_B).float() - target).square().mean()
