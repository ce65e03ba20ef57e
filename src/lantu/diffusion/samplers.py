"""From noise to a picture: free functions with one signature, and diffusers' schedulers behind the same one.

    sampler(denoise, x, steps, each) -> x

``denoise(x, t)`` gives the clean estimate of noisy x (B, C, H, W) at time t (0 is noise, 1 the picture);
``each(step, clean)`` is called with the estimate of every step, so that previews come for free.
"""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from lantu.errors import LantuError

MOVED = 7919  # places that noise is moved along a picture; a prime, so that no row meets itself
LAST = 0.05  # 1 - t is not taken smaller than this: the velocity's weight stays below 400

Denoise = Callable[[np.ndarray, float], np.ndarray]
Each = Callable[[int, np.ndarray], None]
Sampler = Callable[[Denoise, np.ndarray, int, Each | None], np.ndarray]


def velocity(clean: Any, noisy: Any, time: float) -> Any:
    """The direction in which a noisy picture moves: (x - x_t) / (1 - t)."""
    return (clean - noisy) / max(1 - time, LAST)


def times(steps: int) -> list[float]:
    """Evenly spaced, from 0 to 1."""
    return [index / steps for index in range(steps + 1)]


def euler(denoise: Denoise, x: np.ndarray, steps: int, each: Each | None = None) -> np.ndarray:
    """First order: one estimate a step. The last step lands on the clean estimate itself."""
    grid = times(steps)
    for step, (now, then) in enumerate(pairwise(grid)):
        clean = denoise(x, now)
        if each:
            each(step, clean)
        x = clean if then == 1 else x + (then - now) * velocity(clean, x, now)
    return x


def heun(denoise: Denoise, x: np.ndarray, steps: int, each: Each | None = None) -> np.ndarray:
    """Second order (arXiv:2206.00364, algorithm 1): two estimates a step, except the last."""
    grid = times(steps)
    for step, (now, then) in enumerate(pairwise(grid)):
        clean = denoise(x, now)
        if each:
            each(step, clean)
        if then == 1:
            return clean
        slope = velocity(clean, x, now)
        guess = x + (then - now) * slope
        x = x + (then - now) * (slope + velocity(denoise(guess, then), guess, then)) / 2
    return x


def consistency(denoise: Denoise, x: np.ndarray, steps: int, each: Each | None = None) -> np.ndarray:
    """For decoders taught by consistency (arXiv:2303.01469, algorithm 1): each estimate is put under fresh noise.

    The fresh noise is the first, moved along: that is as good as another where each number is drawn by itself, and the
    seed decides it without a generator here.
    """
    clean, noise = np.zeros_like(x), x.reshape(len(x), -1)
    for step, now in enumerate(times(steps)[:-1]):
        fresh = np.roll(noise, step * MOVED, 1).reshape(x.shape)
        clean = denoise(np.float32(now) * clean + np.float32(1 - now) * fresh, now)
        if each:
            each(step, clean)
    return clean


def from_diffusers(name: str, **settings: Any) -> Sampler:
    """Any flow-matching scheduler of diffusers, by class name, e.g. ``UniPCMultistepScheduler``.

    Theirs measure noise by sigma = 1 - t and are given the velocity of growing noise, ``noise - picture``.
    """
    import diffusers
    import torch

    def sample(denoise: Denoise, x: np.ndarray, steps: int, each: Each | None = None) -> np.ndarray:
        scheduler = getattr(diffusers, name)(**settings)
        sigmas = torch.linspace(1, 1 / steps, steps).numpy()
        scheduler.set_timesteps(sigmas=sigmas) if takes_sigmas(scheduler) else scheduler.set_timesteps(steps)
        for step, timestep in enumerate(scheduler.timesteps):
            now = 1 - float(scheduler.sigmas[step])
            clean = denoise(x, now)
            if each:
                each(step, clean)
            growing, noisy = torch.from_numpy(-velocity(clean, x, now)), torch.from_numpy(x)
            x = scheduler.step(growing, timestep, noisy).prev_sample.numpy()
        return x

    return sample


def takes_sigmas(scheduler: Any) -> bool:
    """Whether the scheduler lets the caller choose the noise levels."""
    import inspect

    return "sigmas" in inspect.signature(scheduler.set_timesteps).parameters


OWN = ("euler", "heun", "consistency")
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
    """Whether there is such a sampler. Nothing is imported for it.

    Raises:
        LantuError: there is none of that name, or what it needs is not installed.
    """
    if name not in SAMPLERS:
        raise LantuError(f"no sampler called {name}", f"choose one of {', '.join(SAMPLERS)}")
    if name not in OWN and not all(map(find_spec, ("diffusers", "torch"))):
        message = f"the sampler {name} needs diffusers and torch, which are not installed"
        raise LantuError(message, f"choose one of {', '.join(OWN)}, or pip install 'lantu[train]'")


def sampler(name: str) -> Sampler:
    """A sampler by name; see ``check`` for what it raises."""
    check(name)
    return SAMPLERS[name]()
