"""The decoder of vectors on the kernels, and pixels that need none.

Shapes: B batch, h w grid, T vectors, E their width.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np

from lantu.diffusion.decoder import DiffusionDecoder
from lantu.diffusion.sample import sample
from lantu.engine.sampling_params import SamplingParams
from lantu.kernels import to_float
from lantu.models.lantu.decoder.native import NativeDenoiser
from lantu.rivals.continuous.padded import PaddedLinear
from lantu.types import MASK_CODE


class VectorDenoiser(Protocol):
    """A denoiser that is told vectors before each rendering."""

    patch: int

    def told(self, vectors_TE: np.ndarray) -> Any:
        """The ``lantu.diffusion.decoder.Denoiser`` whose codes are places among these vectors."""
        ...


class NativeVectorDenoiser(NativeDenoiser):
    """``decoder.VectorDecoder`` on the kernels: its table of code embeddings is made of the vectors of a rendering."""

    part = "vector_decoder"

    def table(self, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """The embeddings of codes: before any vector is told, of the missing one alone."""
        self.project = PaddedLinear(state["codes.weight"], state["codes.bias"])
        return to_float(state["unknown"])[None]

    def told(self, vectors_TE: np.ndarray) -> Self:
        """A copy of this denoiser, on the same weights, with the vectors' embeddings."""
        other = copy.copy(self)
        other.codes_KD = np.concatenate([self.project(vectors_TE), self.codes_KD[-1:]])
        return other


def render(
    denoiser: VectorDenoiser,
    vectors_BhwE: np.ndarray,
    known_Bhw: np.ndarray,
    seeds: Sequence[int],
    params: SamplingParams,
) -> np.ndarray:
    """Vectors → pictures (B, C, H, W) in [-1, 1] by the diffusion decoder.

    Args:
        known_Bhw: bool; what the others hold is of no meaning.
    """
    places_Bhw = np.arange(known_Bhw.size).reshape(known_Bhw.shape)
    codes_Bhw = np.where(known_Bhw, places_Bhw, MASK_CODE)
    told = denoiser.told(np.ascontiguousarray(vectors_BhwE.reshape(known_Bhw.size, -1)))
    decoder = DiffusionDecoder(told, denoiser.patch)
    return sample(decoder, codes_Bhw, list(seeds), params.steps, params.render_guidance, params.sampler)


def paint(pixels_BhwE: np.ndarray, known_Bhw: np.ndarray, patch: int) -> np.ndarray:
    """Patches of pixels → pictures (B, C, H, W) in [-1, 1], grey where a patch is not known."""
    B, h, w = known_Bhw.shape
    patches = np.where(known_Bhw[..., None], pixels_BhwE, 0).reshape(B, h, w, patch, patch, 3)
    return patches.transpose(0, 5, 1, 3, 2, 4).reshape(B, 3, h * patch, w * patch).clip(-1, 1)
