"""Samplers, which take noise to a picture in a few steps: functions with one signature, and diffusers' schedulers
behind the same one.

    sampler(denoise, noise, times, each, min_noise, picture) → picture

``denoise(x, t)`` returns the clean estimate of ``x = t · picture + (1 - t) · noise`` (B, C, H, W). ``times`` ascend
from near 0 (noise) to 1 (the picture). ``each(step, clean)`` is called with the estimate of every step, so that
previews cost nothing. With a ``picture`` the path begins at it, noised to the first time, in the place of pure noise.
All compute on the denoiser's own arrays, NumPy or torch, and move none to another device.
"""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from lantu.diffusion.arrays import Array, namespace
from lantu.errors import TRAINING, LantuError

SHIFT = 7919  # places by which noise is rolled along a picture; a prime, so that no row meets itself
MIN_NOISE = 0.05  # 1 - t is not taken smaller than this: the velocity's weight in the loss stays at most 400

Denoise = Callable[[Array, float], Array]
Each = Callable[[int, Array], None]


class Sampler(Protocol):
    """A sampler: see the docstring of this module."""

    def __call__(
        self,
        denoise: Denoise,
        noise: Array,
        times: Sequence[float],
        each: Each | None = None,
        min_noise: float = MIN_NOISE,
        picture: Array | None = None,
    ) -> Array: ...


def velocity(clean: Array, x: Array, t: float, min_noise: float = MIN_NOISE) -> Array:
    """dx/dt of the straight path, towards the picture: (clean - x) / (1 - t)."""
    return (clean - x) / max(1 - t, min_noise)


def times(steps: int) -> list[float]:
    """Evenly spaced, from 0 to 1."""
    return [index / steps for index in range(steps + 1)]


def first_point(noise: Array, t: float, picture: Array | None = None) -> Array:
    """The start of a path that begins at t > 0: a picture that is noised so far (SDEdit, arXiv:2108.01073), else noise
    with the standard deviation of x there, for pictures of unit variance."""
    if picture is not None:
        return t * picture + (1 - t) * noise
    return math.hypot(t, 1 - t) * noise if t else noise


def euler(
    denoise: Denoise,
    noise: Array,
    times: Sequence[float],
    each: Each | None = None,
    min_noise: float = MIN_NOISE,
    picture: Array | None = None,
) -> Array:
    """First order: one estimate a step. The last step lands on the clean estimate itself.

    On a variance-preserving schedule this is DDIM (arXiv:2010.02502, equation 12).
    """
    x = first_point(noise, times[0], picture)
    for step, (now, then) in enumerate(pairwise(times)):
        clean = denoise(x, now)
        if each:
            each(step, clean)
        x = clean if then == 1 else x + (then - now) * velocity(clean, x, now, min_noise)
    return x


def heun(
    denoise: Denoise,
    noise: Array,
    times: Sequence[float],
    each: Each | None = None,
    min_noise: float = MIN_NOISE,
    picture: Array | None = None,
) -> Array:
    """Second order (arXiv:2206.00364, algorithm 1): two estimates a step, except the last."""
    x = first_point(noise, times[0], picture)
    for step, (now, then) in enumerate(pairwise(times)):
        clean = denoise(x, now)
        if each:
            each(step, clean)
        if then == 1:
            return clean
        slope = velocity(clean, x, now, min_noise)
        guess = x + (then - now) * slope
        x = x + (then - now) * (slope + velocity(denoise(guess, then), guess, then, min_noise)) / 2
    return x


def consistency(
    denoise: Denoise,
    noise: Array,
    times: Sequence[float],
    each: Each | None = None,
    min_noise: float = MIN_NOISE,
    picture: Array | None = None,
) -> Array:
    """Multistep consistency sampling (arXiv:2303.01469, algorithm 1), for denoisers trained by consistency.

    Each estimate is noised afresh. The fresh noise is the first one, rolled along the picture. Each of its numbers
    was drawn independently, so it is as good as a new one, and no random generator is needed here.
    """
    xp, flat = namespace(noise), noise.reshape(len(noise), -1)
    x = clean = first_point(noise, times[0], picture)
    for step, now in enumerate(times[:-1]):
        if step:
            x = now * clean + (1 - now) * xp.roll(flat, step * SHIFT, 1).reshape(noise.shape)
        clean = denoise(x, now)
        if each:
            each(step, clean)
    return clean


def from_diffusers(name: str, **config: Any) -> Sampler:
    """Any flow-matching scheduler of diffusers, by class name, e.g. ``UniPCMultistepScheduler``.

    They measure noise by sigma = 1 - t, and expect the velocity towards noise, ``noise - picture``.
    """
    import diffusers
    import torch

    def sample(
        denoise: Denoise,
        noise: Array,
        times: Sequence[float],
        each: Each | None = None,
        min_noise: float = MIN_NOISE,
        picture: Array | None = None,
    ) -> Array:
        scheduler, steps = getattr(diffusers, name)(**config), len(times) - 1
        even = times[0] == 0 and list(times) == [index / steps for index in range(steps + 1)]
        sigmas = torch.linspace(1, 1 / steps, steps).numpy() if even else 1 - np.array(times[:-1], np.float32)
        scheduler.set_timesteps(sigmas=sigmas)
        scheduler.set_begin_index(0)  # or it is looked up by the timestep, which close sigmas share
        x = first_point(noise, times[0], picture)
        for step, timestep in enumerate(scheduler.timesteps):
            now = 1 - float(scheduler.sigmas[step])  # which the scheduler keeps on the host
            clean = denoise(x, now)
            if each:
                each(step, clean)
            to_noise = torch.as_tensor(-velocity(clean, x, now, min_noise))
            moved = scheduler.step(to_noise, timestep, torch.as_tensor(x)).prev_sample
            x = moved.numpy() if isinstance(noise, np.ndarray) else moved
        return x

    return sample


NATIVE = ("euler", "heun", "consistency")
SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "euler": lambda: euler,
    "heun": lambda: heun,
    "consistency": lambda: consistency,
    "flow-euler": lambda: from_diffusers("FlowMatchEulerDiscreteScheduler"),
    "unipc": lambda: from_diffusers(
        "UniPCMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0
    ),
}


def check(name: str) -> None:
    """Check that a sampler can be used, without importing what it needs.

    Raises:
        LantuError: there is none of that name, or what it needs is not installed.
    """
    if name not in SAMPLERS:
        raise LantuError(f"no sampler called {name}", f"choose one of {', '.join(SAMPLERS)}")
    if name not in NATIVE and not all(map(find_spec, ("diffusers", "torch"))):
        message = f"the sampler {name} needs diffusers and torch, which are not installed"
        raise LantuError(message, f"choose one of {', '.join(NATIVE)}, or {TRAINING}")


def sampler(name: str) -> Sampler:
    """A sampler by name; see ``check`` for what it raises."""
    check(name)
    return SAMPLERS[name]()
