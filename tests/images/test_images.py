import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from hostile_pictures import SIGNATURE, chunk, in_many_modes
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


@pytest.fixture(scope="module")
def grey():
    levels = np.random.default_rng(1).integers(0, 256, (16, 16), dtype=np.uint8)
    levels[0, :2] = 0, 255
    return Image.fromarray(levels).convert("RGB")


def far(one, other):
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).max()


def test_every_mode_and_depth_means_the_same(grey):
    for name, (picture, rounding) in in_many_modes(grey).items():
        read = images.to_rgb(picture)
        assert (read.mode, far(read, grey) <= rounding) == ("RGB", True), name
        alpha = images.to_rgba(picture)
        assert (alpha.mode, far(alpha.convert("RGB"), grey) <= rounding) == ("RGBA", True), name


SAVED = {
    "png": ("L", "RGB", "LA", "P", "RGBA", "I;16"),
    "tiff": ("L", "RGB", "LA", "P", "RGBA", "CMYK", "I;16", "I;16B", "I of 8 bits", "F to 1", "F to 255", "LAB"),
    "webp": ("RGB", "RGBA", "L", "LA"),
    "ppm": ("L", "RGB", "I;16"),
    "gif": ("L", "P"),
    "bmp": ("L", "P", "RGB"),
}


@pytest.mark.parametrize("form", SAVED)
def test_every_mode_and_depth_means_the_same_in_files(grey, tmp_path, form):
    cases = in_many_modes(grey)
    for name in SAVED[form]:
        picture, rounding = cases[name]
        options = {"lossless": True} if form == "webp" else {}
        picture.save(tmp_path / f"a.{form}", form, **options)
        assert far(images.open_image(tmp_path / f"a.{form}"), grey) <= rounding, name


def test_two_levels(tmp_path):
    levels = np.random.default_rng(2).integers(0, 2, (8, 8), dtype=np.uint8) * 255
    for case in (Image.fromarray(levels).convert("1"), Image.fromarray(levels > 0)):
        case.save(tmp_path / "a.png")
        assert far(images.open_image(tmp_path / "a.png").convert("L"), levels) == 0
        assert far(images.to_rgb(case).convert("L"), levels) == 0


def test_what_is_transparent_in_any_mode_is_white(tmp_path):
    levels = np.array([[0, 17, 34, 255]], np.uint8)
    cases = {
        "LA": Image.merge("LA", [Image.fromarray(levels), Image.fromarray(np.array([[255, 0, 255, 255]], np.uint8))]),
        "L": (Image.fromarray(levels), 17),
        "RGB": (Image.fromarray(levels).convert("RGB"), (17, 17, 17)),
        "I;16": (Image.fromarray(levels.astype(np.uint16) * 257), 17 * 257),
        "P": (Image.fromarray(levels).convert("P"), 17),
        "P by bytes": (Image.fromarray(levels).convert("P"), bytes([255] * 17 + [0] + [255] * 238)),
    }
    for name, case in cases.items():
        image, options = (case[0], {"transparency": case[1]}) if isinstance(case, tuple) else (case, {})
        image.save(tmp_path / "a.png", **options)
        read = np.asarray(images.open_image(tmp_path / "a.png"))[0]
        assert read.tolist() == [[level] * 3 for level in (0, 255, 34, 255)], name
        assert np.asarray(images.to_mask(Image.open(tmp_path / "a.png"))).tolist() == [[0, 255, 0, 0]], name


def png_of(depth, colour, rows, transparent):
    header = struct.pack(">IIBBBBB", 4, 1, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"tRNS", transparent) + chunk(b"IDAT", zlib.compress(b"\0" + rows))
    return io.BytesIO(SIGNATURE + body + chunk(b"IEND", b""))


def test_a_transparent_level_is_one_of_the_files_depth():
    four = images.read_image(png_of(4, 0, bytes([0x01, 0x2F]), b"\0\1"), "it")  # levels 0 1 2 15, of which 1
    assert np.asarray(four)[0, :, 0].tolist() == [0, 255, 34, 255]
    colours = b"".join(struct.pack(">HHH", *[level * 257] * 3) for level in (0, 17, 34, 255))
    sixteen = images.read_image(png_of(16, 2, colours, struct.pack(">HHH", *[17 * 257] * 3)), "it")
    assert np.asarray(sixteen)[0, :, 0].tolist() == [0, 255, 34, 255]


def test_levels_that_overshoot_are_clipped_and_what_is_no_number_is_black():
    levels = np.array([[-0.1, 0, 1, 1.2], [np.nan, np.inf, -np.inf, 0.5]], np.float32)
    assert np.asarray(images.to_rgb(Image.fromarray(levels)))[..., 0].tolist() == [[0, 0, 255, 255], [0, 255, 0, 128]]
    assert np.asarray(images.to_rgb(Image.fromarray(np.full((2, 2), np.nan, np.float32)))).max() == 0
    deep = Image.fromarray(np.array([[0, 2**30, 2**31 - 1]], np.int32))
    assert np.asarray(images.to_rgb(deep))[0, :, 0].tolist() == [0, 128, 255]


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path):
    Image.fromarray(np.full((4, 4), 200, np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(images.open_image(tmp_path / "a.png")).max() == 1


def test_images_of_programs_are_turned_upright_and_damaged_exif_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(4, 8)).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as image:
        assert images.to_rgb(image).size == (4, 8)
        assert images.to_mask(image).size == (4, 8)
    Image.fromarray(noise(4, 8)).save(tmp_path / "b.jpg", exif=b"Exif\0\0nonsense")
    assert images.open_image(tmp_path / "b.jpg").size == (8, 4)


def test_masks_mark_the_same_in_every_mode():
    light = Image.new("L", (16, 16), 0)
    light.paste(255, (4, 4, 8, 12))
    wanted = np.asarray(light)
    for name, (mask, _) in in_many_modes(light).items():
        assert np.array_equal(np.asarray(images.to_mask(mask)), wanted), name
        again = images.to_mask(images.to_mask(mask))
        assert np.array_equal(np.asarray(again), wanted), name
        assert np.array_equal(np.asarray(images.to_mask(images.to_rgba(mask))), wanted), name
    levels = wanted // 255
    for ones in (levels, levels.astype(np.int32), levels.astype(np.float32), levels > 0):
        assert np.array_equal(np.asarray(images.to_mask(Image.fromarray(ones))), wanted)
    clear = Image.new("RGBA", (16, 16), "white")
    clear.putalpha(Image.fromarray(255 - wanted))
    for mask in (clear, clear.convert("LA"), clear.convert("RGBa"), clear.convert("LA").convert("La")):
        assert np.array_equal(np.asarray(images.to_mask(mask)), wanted)
    assert np.asarray(images.to_mask(Image.new("L", (4, 4), 3))).max() == 0


@pytest.mark.parametrize("form", ["gif", "webp", "png", "tiff"])
def test_of_an_animation_the_first_frame_is_read_and_that_is_said(tmp_path, form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a.{form}", save_all=True, append_images=frames[1:], **{"lossless": True})
    notes = []
    read = images.open_image(tmp_path / f"a.{form}", note=notes.append)
    assert far(read, frames[0]) <= 1
    assert notes == [f"{tmp_path}/a.{form} has 3 frames: the first is read"]


def test_damage_and_emptiness_in_images_of_programs_are_bad_input(tmp_path):
    Image.fromarray(noise(64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:500])
    with Image.open(tmp_path / "half.png") as image, pytest.raises(ImageError, match="damaged"):
        images.to_rgb(image)
    for reading in (images.to_rgb, images.to_rgba, images.to_mask):
        with pytest.raises(ImageError, match="0x3 pixels"):
            reading(Image.new("RGB", (0, 3)))
