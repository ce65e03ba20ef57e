"""Palettes: k-means of colours, the nearest colour of each pixel, drawings scaled to the size that is served."""

import json

import numpy as np
import pytest

from lantu.errors import ModelError
from lantu.recipes.rivals.pixel_ar import PaletteTokenizer, save
from lantu.rivals.pixel_ar.clustering import colours_of, nearest
from lantu.rivals.pixel_ar.palette import Palette
from lantu.types import MASK_CODE


def test_clusters_are_the_colours_that_there_are():
    rng = np.random.default_rng(0)
    true = rng.integers(20, 236, (8, 3))
    pixels = (true[rng.integers(0, 8, 4000)] + rng.integers(-2, 3, (4000, 3))).astype(np.uint8)
    found = (colours_of(pixels, 16, 0) + 1) * 127.5
    assert nearest(true.astype(float), found.astype(float))[1].max() < 16
    assert np.array_equal(found, np.rint(found).astype(np.float32)) or np.allclose(found, np.rint(found), atol=1e-3)
    assert np.array_equal(colours_of(pixels, 16, 0), colours_of(pixels, 16, 0))
    alone = nearest(pixels.astype(float), colours_of(pixels, 4, 0).astype(float) * 127.5 + 127.5)[1].mean()
    assert nearest(pixels.astype(float), found.astype(float))[1].mean() < alone


def test_fewer_colours_than_asked_for_repeat():
    pixels = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]] * 5, np.uint8)
    found = colours_of(pixels, 6, 1)
    assert found.shape == (6, 3)
    assert {tuple(row) for row in found} == {(-1, -1, -1), (1, 1, 1), (1, -1, -1)}


@pytest.fixture
def palette():
    colours = np.array([[-1, -1, -1], [1, 1, 1], [1, -1, -1], [-1, -1, 1]], np.float32)
    return Palette(colours, 4, 2, "nearest")


def test_colours_come_back_and_missing_ones_are_grey(palette):
    codes = np.random.default_rng(0).integers(0, 4, (2, 4, 4))
    painted = palette.paint(codes)
    assert painted.shape == (2, 8, 8, 3)
    small = painted[:, ::2, ::2].transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.array_equal(palette.encode(small.astype(np.float32)), codes)
    codes[0, 0, 0] = MASK_CODE
    assert palette.paint(codes)[0, 0, 0].tolist() == [128, 64, 128] or (palette.paint(codes)[0, 0, 0] > 0).all()
    distances = palette.distances(small.astype(np.float32))
    assert distances.shape == (2, 16, 4)
    assert np.allclose(distances.min(-1), 0, atol=1e-5)


def test_a_damaged_palette_is_refused(palette, tmp_path):
    save(palette, tmp_path / "palette")
    again = Palette.load(tmp_path / "palette")
    assert np.array_equal(again.vectors_KE, palette.vectors_KE)
    assert PaletteTokenizer(again).codes_digest() == PaletteTokenizer(palette).codes_digest()
    config = json.loads((tmp_path / "palette/config.json").read_text())
    for change in ({"colours": 5}, {"scale": 0}, {"resample": "magic"}, {"extra": 1}):
        (tmp_path / "palette/config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError):
            Palette.load(tmp_path / "palette")
