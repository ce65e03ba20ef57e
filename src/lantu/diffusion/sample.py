"""Codes to pixels: noise from the seeds, then a sampler's steps. Shapes: B batch, C channels, H W pixels, h w grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lantu.diffusion.arrays import Array, namespace, to_numpy
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.diffusion.samplers import Each, sampler
from lantu.errors import ModelError
from lantu.types import MASK_CODE
from lantu.weights.manifest import check_finite

FIRST, SECOND = 1, 2  # streams of a seed, for the noise of a first and a second pass
OVERSHOOT = 1.2  # clean estimates of pixels are clipped to ± this


@dataclass(frozen=True, eq=False)
class Start:
    """A picture to begin from in the place of noise (SDEdit, arXiv:2108.01073).

    Attributes:
        pixels_BCHW: in [-1, 1].
        strength: from above 0 to 1, how much of the path is walked again: 1 begins with noise.
    """

    pixels_BCHW: np.ndarray
    strength: float


def sample(
    decoder: DiffusionDecoder,
    codes_Bhw: np.ndarray,
    seeds: Sequence[int],
    steps: int = 8,
    guidance: float = 1.0,
    sampler_name: str = "euler",
    each: Each | None = None,
    control_residuals_2BND: np.ndarray | None = None,
    start: Start | None = None,
) -> np.ndarray:
    """Render grids of codes by diffusion sampling. Between steps nothing leaves the denoiser's device.

    Args:
        codes_Bhw: int64, MASK_CODE (-1) where a code is not known.
        seeds: one a picture, for its noise.
        steps: number of sampler steps; each calls the denoiser once (Heun: twice).
        guidance: scale of classifier-free guidance (arXiv:2207.12598); 1 is off, more exaggerates what the codes say
            and takes twice as long.
        each: called with each step's clean estimate, of pixels or latents, in the denoiser's arrays.
        control_residuals_2BND: what a control network adds to the tokens; N = h·w tokens of width D.
        start: the pictures that are noised and denoised again; their noise is another than that of a first pass.

    Returns:
        (B, C, h·P, w·P) float32 in [-1, 1].

    Raises:
        LantuError: there is no such sampler.
        ModelError: the decoder computes numbers that are not finite, or can't render grids with masked codes.
    """
    B, h, w = codes_Bhw.shape
    if not decoder.partial and (guidance != 1 or (codes_Bhw == MASK_CODE).any()):
        raise ModelError("this decoder can't render masked codes", "give all codes, and no render guidance")
    draw, shape = sampler(sampler_name), decoder.noise_shape(h, w)
    stream = FIRST if start is None else SECOND
    noise = np.stack([np.random.default_rng((seed, stream)).standard_normal(shape, np.float32) for seed in seeds])
    to_device = decoder.denoiser.to_device
    noise = to_device(noise)
    conditioning = conditioned(decoder, codes_Bhw, control_residuals_2BND, guidance != 1)
    finite = Finite()

    def denoise(x: Array, t: float) -> Array:
        if guidance == 1:
            clean = decoder.denoise(x, t, conditioning)
            finite.check(clean)
        else:
            clean = decoder.denoise(namespace(x).concatenate([x, x]), t, conditioning)
            finite.check(clean)
            conditional, unconditional = clean[:B], clean[B:]
            clean = unconditional + float(guidance) * (conditional - unconditional)
        return clean if decoder.codec else clean.clip(-OVERSHOOT, OVERSHOOT)

    latents, picture = shape[1] * shape[2], None
    times = decoder.times(steps, latents)
    if start:
        picture = decoder.codec.encode(start.pixels_BCHW) if decoder.codec else to_device(start.pixels_BCHW)
        times = decoder.times(max(steps, round(steps / start.strength)), latents)[-steps - 1 :]
    x = draw(denoise, noise, times, each, decoder.schedule.min_noise, picture)
    finite.finish()
    pixels_BCHW = decoder.codec.decode(x) if decoder.codec else x
    return to_numpy(pixels_BCHW.clip(-1, 1))


def conditioned(
    decoder: DiffusionDecoder, codes_Bhw: np.ndarray, control_residuals_2BND: np.ndarray | None, guided: bool
) -> Conditioning:
    """Codes and control on the denoiser's device; guided, each picture a second time with all its codes masked."""
    if guided:
        codes_Bhw = np.concatenate([codes_Bhw, np.full_like(codes_Bhw, MASK_CODE)])
        if control_residuals_2BND is not None:
            control_residuals_2BND = np.concatenate([control_residuals_2BND] * 2, 1)
    to_device = decoder.denoiser.to_device
    residuals = None if control_residuals_2BND is None else to_device(control_residuals_2BND)
    return Conditioning(to_device(codes_Bhw), residuals)


class Finite:
    """Refuses what damaged weights compute: of NumPy arrays at once, of others at the end, without waiting for them."""

    def __init__(self) -> None:
        self.largest: list[Array] = []

    def check(self, clean: Array) -> None:
        """Check a clean estimate, or keep what tells whether it is finite.

        Raises:
            ModelError: a value is infinite or no number.
        """
        if isinstance(clean, np.ndarray):
            check_finite("decoder", clean)
        else:
            self.largest.append(clean.abs().amax())

    def finish(self) -> None:
        """Check what was kept.

        Raises:
            ModelError: a value was infinite or no number.
        """
        if self.largest:
            check_finite("decoder", to_numpy(namespace(self.largest[0]).stack(self.largest)))
