"""Huge pictures, made small for the test by a lower limit."""

import numpy as np
import pytest
from PIL import Image

from lantu.data import shrinking
from lantu.data.contents import Entry, InFile, load_picture


def saved(path, mode, exif=None):
    """A slope of levels, 96 high and 128 wide, in a mode."""
    levels = np.linspace(0, 255, 128)[None].repeat(96, 0)
    levels[:48] /= 2
    if mode == "I;16":
        picture = Image.fromarray((levels * 257).astype(np.uint16))
    else:
        picture = Image.fromarray(levels.astype(np.uint8)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.fromarray((255 - levels).astype(np.uint8)))
    picture.save(path, **({"exif": exif} if exif else {}))
    return Entry(path.name, InFile(path), {})


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_huge_picture_looks_as_if_it_had_been_decoded_whole(tmp_path, monkeypatch, mode, orientation):
    exif = Image.Exif()
    exif[shrinking.ORIENTATION] = orientation
    entry = saved(tmp_path / "a.png", mode, exif)
    whole, notes = load_picture(entry, 16, "keep", "#00ff00")
    monkeypatch.setattr(shrinking, "LARGE", 1000)
    small, same = load_picture(entry, 16, "keep", "#00ff00")
    assert small.shape == whole.shape
    assert [note.reason for note in same] == [note.reason for note in notes]
    assert np.abs(small.astype(int) - whole).mean() < (9 if mode == "1" else 3)  # "1" is dithered


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("large", [10**9, 1000])
@pytest.mark.parametrize("aspect", ["keep", "crop", "pad"])
def test_a_tiff_that_lies_is_turned_once_as_a_png_is(tmp_path, monkeypatch, orientation, large, aspect):
    monkeypatch.setattr(shrinking, "LARGE", large)
    exif = Image.Exif()
    exif[shrinking.ORIENTATION] = orientation
    png, tiff = (saved(tmp_path / name, "RGB", exif) for name in ("a.png", "a.tiff"))
    (wanted, notes), (turned, same) = (load_picture(each, 16, aspect) for each in (png, tiff))
    assert turned.shape == wanted.shape
    assert np.abs(turned.astype(int) - wanted).mean() < 6  # turned the wrong way it is 70
    assert [note.reason for note in notes] == [note.reason for note in same]


def test_a_bomb_is_refused_with_its_size(tmp_path, monkeypatch):
    entry = saved(tmp_path / "a.png", "L")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    picture, notes = load_picture(entry, 16)
    assert picture is None
    assert "megapixels, as decompression bombs are" in notes[0].reason
