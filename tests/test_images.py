import numpy as np
import pytest
import torch
from PIL import Image

from lantu import images
from lantu.errors import ImageError


def noise(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_opens_as_rgb(tmp_path):
    pixels = noise(5, 7)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(images.open_image(tmp_path / "a.png")), pixels)


def test_transparent_parts_become_white(tmp_path):
    pixels = noise(4, 4, 4)
    pixels[..., 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (np.asarray(images.open_image(tmp_path / "a.png")) == 255).all()


def test_a_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90°
    Image.fromarray(noise(4, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert images.open_image(tmp_path / "a.jpg").size == (4, 8)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(images.open_image(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 128, 255]


def test_what_is_no_picture(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    Image.fromarray(noise(64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:500])
    (tmp_path / "empty.png").touch()
    for name in ("text.png", "half.png", "empty.png"):
        with pytest.raises(ImageError, match="can't read"):
            images.open_image(tmp_path / name)
    for path in (tmp_path / "missing.png", tmp_path):
        with pytest.raises(ImageError, match="no picture at"):
            images.open_image(path)


@pytest.mark.parametrize("limit", ["lantu.images.MAX_PIXELS", "PIL.Image.MAX_IMAGE_PIXELS"])
def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, monkeypatch, limit):
    Image.fromarray(noise(40, 40)).save(tmp_path / "huge.png")
    whole = (tmp_path / "huge.png").read_bytes()
    (tmp_path / "huge.png").write_bytes(whole[:200])  # decoding it would say so
    monkeypatch.setattr(limit, 1000)
    with pytest.raises(ImageError, match="too large"):
        images.open_image(tmp_path / "huge.png")


def test_fit_cuts_alike_on_both_sides():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    assert (np.asarray(images.fit(Image.fromarray(pixels), 10, 10)) == 255).all()


def test_tensors_and_back():
    pictures = noise(6, 4)[None]
    pixels = images.to_tensor(pictures)
    assert pixels.shape == (1, 3, 6, 4)
    assert (pixels.min() >= -1) & (pixels.max() <= 1)
    assert np.array_equal(images.to_array(pixels), pictures)


def test_scale_averages():
    pixels = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(1, 3, 2, 2)
    assert images.scale(pixels, 1, 1).flatten().tolist() == [0.5] * 3
    assert images.scale(pixels, 2, 2) is pixels
