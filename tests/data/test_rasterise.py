import io

import numpy as np
import pytest
from PIL import Image

from lantu.data.rasterise import rasterise

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'


def svg(body):
    return f"{HEAD}{body}</svg>".encode()


def test_a_small_drawing_in_a_corner_fills_the_square():
    pixels = rasterise(svg('<rect x="1" y="2" width="3" height="3" fill="#f80"/>'), 64)
    assert pixels.shape == (64, 64, 4)
    assert pixels.dtype == np.uint8
    assert pixels[3:-3, 3:-3, 3].min() == 255
    assert pixels[32, 32].tolist() == [255, 136, 0, 255]


def test_a_wide_drawing_keeps_its_proportions_and_is_centred():
    alpha = rasterise(svg('<rect x="0" y="0" width="16" height="4"/>'), 64)[..., 3] > 128
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    assert abs(len(columns) - 64) <= 2
    assert abs(len(rows) - 16) <= 2
    assert abs(rows.mean() - 31.5) <= 1


def test_half_transparent_colour_is_straight():
    pixels = rasterise(svg('<rect width="16" height="16" fill="#fff" opacity=".5"/>'), 32)
    assert abs(int(pixels[16, 16, 3]) - 128) <= 1
    assert pixels[16, 16, :3].min() >= 254


def test_colour_is_zero_where_nothing_is_drawn():
    pixels = rasterise(svg('<circle cx="8" cy="8" r="8" fill="#fff"/>'), 32)
    assert pixels[0, 0].tolist() == [0, 0, 0, 0]


def test_a_bitmap_is_treated_alike():
    picture = Image.new("RGBA", (40, 40))
    picture.paste((0, 0, 255, 255), (10, 10, 20, 30))
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True)
    alpha = rasterise(file.getvalue(), 32)[..., 3] > 128
    assert abs(np.flatnonzero(alpha.any(1)).size - 32) <= 2
    assert abs(np.flatnonzero(alpha.any(0)).size - 16) <= 2


@pytest.mark.parametrize("drawing", [b"not a picture", svg("")])
def test_a_drawing_that_shows_nothing_is_refused(drawing):
    with pytest.raises(ValueError, match=r"visible|identify"):
        rasterise(drawing, 32)
