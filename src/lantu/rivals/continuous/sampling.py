"""Denoising a vector: ancestral sampling of a diffusion head, on arrays of NumPy and torch alike.

A noisy vector is ``α·vector + σ·noise`` with α = cos(π/2·u), σ = sin(π/2·u) at time u from 0 to 1, and the head
predicts the velocity ``α·noise - σ·vector`` (arXiv:2202.00512). Shapes: R rows, S steps, E numbers of a vector.
"""

import math
from collections.abc import Callable

from lantu.diffusion.arrays import Array


def denoise(predict: Callable[[Array, float], Array], noise_SRE: Array, temperature_R1: Array) -> Array:
    """Vectors (R, E) from noise.

    The temperature scales the noise that each step adds (arXiv:2406.11838, section 3.2). At 0 the first noise is left
    out, too, so that no seed matters.

    Args:
        predict: (noisy vectors, time) → velocities.
        noise_SRE: the first noise, then that of each step but the last.
    """
    steps = len(noise_SRE)
    x_RE = noise_SRE[0] * (temperature_R1 > 0)
    for step in range(steps):
        now, then = (math.pi / 2 * (1 - at / steps) for at in (step, step + 1))
        (alpha, sigma), (alpha_s, sigma_s) = ((math.cos(angle), math.sin(angle)) for angle in (now, then))
        clean_RE = alpha * x_RE - sigma * predict(x_RE, 1 - step / steps)
        if step == steps - 1:
            return clean_RE
        ratio = alpha / alpha_s
        added = sigma**2 - (ratio * sigma_s) ** 2
        x_RE = (ratio * sigma_s**2 / sigma**2) * x_RE + (alpha_s * added / sigma**2) * clean_RE
        x_RE = x_RE + (math.sqrt(added) * sigma_s / sigma) * temperature_R1 * noise_SRE[step + 1]
    raise ValueError("a draft takes a step or more")
