"""Latents as codes: back within a rounding, in squares of each position."""

import numpy as np
import pytest

from lantu.diffusion.latent_codes import LatentCodes
from lantu.errors import ModelError
from lantu.types import MASK_CODE


@pytest.mark.parametrize(("channels", "factor", "side"), [(4, 8, 2), (16, 8, 4), (32, 8, 8), (1, 8, 1), (4, 4, 2)])
def test_latents_come_back(channels, factor, side):
    latent = LatentCodes(channels, factor)
    assert (latent.side, latent.patch) == (side, factor // side)
    x = np.random.default_rng(0).standard_normal((2, channels, 3, 5)).astype(np.float32)
    codes = latent.pack(x)
    assert codes.shape == (2, 3 * side, 5 * side)
    assert np.abs(latent.unpack(codes) - x).max() <= 0.5 / 4096
    assert np.array_equal(latent.pack(latent.unpack(codes)), codes)
    x[0, :, 1, 2] += 1
    changed = (latent.pack(x) != codes)[0]
    assert changed.sum() == channels
    assert np.argwhere(latent.positions(changed)).tolist() == [[1, 2]]
    assert latent.cells(latent.positions(changed)).sum() == side**2


def test_extremes_are_clipped_and_missing_ones_zero():
    latent = LatentCodes(4, 8)
    codes = latent.pack(np.array([1e9, -1e9, 0, np.float32(1)], np.float32).reshape(1, 4, 1, 1))
    assert codes.min() >= 0
    assert codes.max() < 65536
    assert latent.unpack(codes)[0, 2:, 0, 0].tolist() == [0, 1]
    assert not latent.unpack(np.full((1, 2, 2), MASK_CODE)).any()
    with pytest.raises(ModelError):
        LatentCodes(32, 4)
