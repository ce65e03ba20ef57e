"""Codes to pixels. Shapes: B batch, C = 3 channels, H W pixels, h w grid."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lantu.diffusion.samplers import Each, sampler
from lantu.types import MASK_CODE
from lantu.weights.manifest import check_finite


class Denoiser(Protocol):
    """A decoder: what a noisy picture was before the noise.

    Attributes:
        patch: P, pixels a side painted for one code.
    """

    @property
    def patch(self) -> int: ...

    def __call__(
        self,
        noisy_BCHW: np.ndarray,
        time: float,
        codes_Bhw: np.ndarray,
        control_residuals_2BND: np.ndarray | None = None,
    ) -> np.ndarray:
        """The clean pictures (B, C, H, W) float32.

        Args:
            noisy_BCHW: ``t · picture + (1 - t) · noise``, pictures in [-1, 1]; H = h·P, W = w·P.
            time: t in [0, 1], 0 is pure noise.
            codes_Bhw: int64; MASK_CODE where not known.
            control_residuals_2BND: of a control, added to the tokens before and after all blocks.
        """
        ...


def sample(
    decoder: Denoiser,
    codes_Bhw: np.ndarray,
    seeds: Sequence[int],
    steps: int = 8,
    guidance: float = 1.0,
    sampler_name: str = "euler",
    each: Each | None = None,
    control_residuals_2BND: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the pictures that grids of codes stand for.

    Args:
        codes_Bhw: int64, MASK_CODE (-1) where a code is not known.
        seeds: one a picture, for its noise.
        steps: estimates the sampler may use (Heun uses two a step).
        guidance: 1 follows the codes; more exaggerates them, at twice the cost.
        each: called with each step's clean estimate.
        control_residuals_2BND: what a control adds, N = h·w tokens of width D.

    Returns:
        (B, C, h·P, w·P) float32 in [-1, 1].

    Raises:
        ModelError: the decoder computes numbers that are not finite.
    """
    B, h, w = codes_Bhw.shape
    size = (3, h * decoder.patch, w * decoder.patch)
    noise = [np.random.default_rng((seed, 1)).standard_normal(size, np.float32) for seed in seeds]
    pairs = np.concatenate([codes_Bhw, np.full_like(codes_Bhw, MASK_CODE)]) if guidance != 1 else codes_Bhw

    def denoise(x: np.ndarray, time: float) -> np.ndarray:
        times = len(pairs) // B
        control_residuals = (
            None if control_residuals_2BND is None else np.concatenate([control_residuals_2BND] * times, 1)
        )
        clean = decoder(np.concatenate([x] * times), time, pairs, control_residuals)
        check_finite("decoder", clean)
        if guidance != 1:
            follow, ignore = np.split(clean, 2)
            clean = ignore + np.float32(guidance) * (follow - ignore)
        return clean.clip(-1.2, 1.2)

    return sampler(sampler_name)(denoise, np.stack(noise), steps, each).clip(-1, 1)
