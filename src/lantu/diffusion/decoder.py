"""A diffusion decoder: codes → pixels, in exchangeable parts.

    denoiser            (x_t, timestep, conditioning) → a prediction
    parameterisation    what it predicts: the clean picture, the noise, a velocity
    schedule            which noisy pictures it knows
    codec               optional: it paints latents, which this turns into pixels

The sampler is chosen with each drawing (``lantu.diffusion.sample``). Shapes: B batch, C channels, H W pixels (or sides
of a latent), h w grid, N = h·w, D width.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lantu.diffusion.arrays import Array
from lantu.diffusion.parameterisations import PARAMETERISATIONS
from lantu.diffusion.schedules import FlowSchedule, NoiseSchedule
from lantu.errors import ModelError


@dataclass(frozen=True)
class Conditioning:
    """What a picture is to show, in arrays of the denoiser's kind.

    Attributes:
        codes_Bhw: int64; MASK_CODE where a code is not known.
        control_residuals_2BND: of a control, added to the tokens before and after all blocks; None for none.
    """

    codes_Bhw: Array
    control_residuals_2BND: Array | None = None


class Denoiser(Protocol):
    """A network that was trained on noisy pictures or latents."""

    def to_device(self, array: np.ndarray) -> Array:
        """The array as this denoiser computes on it, on its device."""
        ...

    def __call__(self, x_t_BCHW: Array, timestep: float, conditioning: Conditioning) -> Array:
        """What the parameterisation says (B, C, H, W), on the device of ``x_t_BCHW``.

        Args:
            x_t_BCHW: ``α · x + σ · ε``, as the noise schedule has it.
            timestep: ``NoiseSchedule.timestep``.
        """
        ...


class LatentCodec(Protocol):
    """Pixels to latents and back: the autoencoder of a latent diffusion (arXiv:2112.10752).

    Both directions take and give arrays of the denoiser's kind. Latents are scaled as the denoiser knows them.
    """

    @property
    def channels(self) -> int:
        """Of a latent."""
        ...

    @property
    def factor(self) -> int:
        """Pixels a side for one latent position."""
        ...

    def encode(self, pixels_BCHW: Array) -> Array:
        """Pixels in [-1, 1] → latents (B, channels, H / factor, W / factor)."""
        ...

    def decode(self, latents_BCHW: Array) -> Array:
        """Latents → pixels, in [-1, 1] but for overshoot."""
        ...

    def to(self, device: Any) -> None:
        """Move it to a device of its arrays' library."""
        ...


@dataclass(frozen=True)
class DiffusionDecoder:
    """See the module.

    Attributes:
        patch: P, pixels a side painted for one code.
        parameterisation: one of ``PARAMETERISATIONS``.
        partial: whether the denoiser has learnt grids of which codes are masked, so that a partial draft is a preview
            and guidance has something to compare with.
        canvas: rows and columns of cells that are painted where codes are a sequence (1-D tokens), whatever its length;
            None where they are a grid.
        depth: codes of a cell of a grid, side by side.

    Raises:
        ModelError: there is no such parameterisation, or the codec's positions don't fit the patch.
    """

    denoiser: Denoiser
    patch: int
    parameterisation: str = "x0"
    schedule: NoiseSchedule = field(default_factory=FlowSchedule)
    codec: LatentCodec | None = None
    partial: bool = True
    canvas: tuple[int, int] | None = None
    depth: int = 1

    def __post_init__(self):
        if self.parameterisation not in PARAMETERISATIONS:
            raise ModelError(
                f"no parameterisation called {self.parameterisation}", f"choose one of {', '.join(PARAMETERISATIONS)}"
            )
        if self.codec and self.patch % self.codec.factor:
            message = f"a code paints {self.patch} pixels a side, a latent {self.codec.factor}"
            raise ModelError(message, "paint a multiple of it")

    def noise_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, H, W) of what is denoised for a grid of so many codes, or for a sequence."""
        height, width = self.canvas or (height, width // self.depth)
        channels, factor = (self.codec.channels, self.codec.factor) if self.codec else (3, 1)
        return channels, height * self.patch // factor, width * self.patch // factor

    def times(self, steps: int, latents: int = 0) -> list[float]:
        """The times of so many steps: the schedule's, from where the parameterisation is defined.

        Args:
            latents: how many positions are denoised.
        """
        first, *others = self.schedule.times(steps, latents)
        return [max(first, PARAMETERISATIONS[self.parameterisation].min_signal), *others]

    def denoise(self, x_BCHW: Array, t: float, conditioning: Conditioning) -> Array:
        """The clean estimate of ``x = t · picture + (1 - t) · noise``, for denoisers of any schedule."""
        scale = self.schedule.scale(t)
        x_t_BCHW = x_BCHW if scale == 1 else scale * x_BCHW
        prediction_BCHW = self.denoiser(x_t_BCHW, self.schedule.timestep(t), conditioning)
        clean = PARAMETERISATIONS[self.parameterisation].clean
        return clean(prediction_BCHW, x_t_BCHW, scale * t, scale * (1 - t))
