"""Latents as grids of codes, so that what is denoised in the place of drafted ids passes through the same seams.

Each number of a latent becomes one code of 16 bits, in steps of 1/4096 from -8 to 8 (latents have about unit variance;
the rounding is a thousandth of it). The C numbers of a position stand in a square of S by S codes, S being the smallest
divisor of the autoencoder's factor whose square holds them; what is left over of the square is always zero.

Shapes: B batch, C channels, H W positions of the latents, h = H·S, w = W·S codes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lantu.errors import ModelError

LEVELS, ZERO, PER_UNIT = 1 << 16, 1 << 15, 1 << 12


@dataclass(frozen=True)
class LatentCodes:
    """Between latents and codes.

    Attributes:
        channels: C.
        factor: pixels a side of one position.

    Raises:
        ModelError: a position has more numbers than pixels.
    """

    channels: int
    factor: int

    def __post_init__(self):
        _ = self.side

    @cached_property
    def side(self) -> int:
        """S, codes a side of one position."""
        fits = [side for side in range(1, self.factor + 1) if not self.factor % side and side**2 >= self.channels]
        if not fits:
            what = f"an autoencoder with {self.channels} numbers for {self.factor}x{self.factor} pixels"
            raise ModelError(what, "choose one that makes pictures smaller")
        return fits[0]

    @property
    def patch(self) -> int:
        """Pixels a side of one code."""
        return self.factor // self.side

    def pack(self, latents_BCHW: np.ndarray) -> np.ndarray:
        """Latents → codes (B, h, w) int64."""
        B, C, H, W = latents_BCHW.shape
        S = self.side
        numbers = np.full((B, S * S, H, W), ZERO, np.int64)
        numbers[:, :C] = np.clip(np.rint(latents_BCHW * PER_UNIT) + ZERO, 0, LEVELS - 1)
        return numbers.reshape(B, S, S, H, W).transpose(0, 3, 1, 4, 2).reshape(B, H * S, W * S)

    def unpack(self, codes_Bhw: np.ndarray) -> np.ndarray:
        """Codes → latents (B, C, H, W) float32; zero where a code is missing (negative)."""
        B, h, w = codes_Bhw.shape
        S = self.side
        numbers = np.where(codes_Bhw < 0, ZERO, codes_Bhw).reshape(B, h // S, S, w // S, S)
        numbers = numbers.transpose(0, 2, 4, 1, 3).reshape(B, S * S, h // S, w // S)[:, : self.channels]
        return ((numbers - ZERO) / np.float32(PER_UNIT)).astype(np.float32)

    def positions(self, cells_hw: np.ndarray) -> np.ndarray:
        """The positions (H, W) bool that some of the marked cells belong to."""
        h, w = cells_hw.shape
        S = self.side
        return np.asarray(cells_hw.reshape(h // S, S, w // S, S).any((1, 3)))

    def cells(self, positions_HW: np.ndarray) -> np.ndarray:
        """All cells (h, w) bool of the marked positions."""
        return positions_HW.repeat(self.side, 0).repeat(self.side, 1)
