"""HEIC, by a picture that x265 wrote: 64x48 pixels, red left and blue right below white, to be turned by 90°."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lantu.data.contents import Entry, InFile, load_picture
from lantu.data.walk import format_of
from lantu.errors import ImageError
from lantu.images import heif, open_image

PHONE = Path(__file__).parent / "phone.heic"
RED, BLUE = (220, 40, 40), (40, 60, 220)


@pytest.fixture
def no_decoder(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    heif.read_heif.cache_clear()
    yield
    heif.read_heif.cache_clear()


def test_a_phone_s_picture_is_read_upright():
    image = open_image(PHONE)
    assert (image.size, image.mode) == ((48, 64), "RGB")
    for place, colour in (((18, 10), RED), ((18, 54), BLUE), ((45, 10), (240, 240, 240))):
        assert np.abs(np.subtract(image.getpixel(place), colour)).max() < 12


def test_it_becomes_data():
    pixels, notes = load_picture(Entry("phone", InFile(PHONE), {}), 32, "keep")
    assert pixels is not None
    assert pixels.shape[0] > pixels.shape[1]
    assert [note.reason for note in notes if "decoded" in note.reason] == []
    assert format_of(PHONE) == "HEIC"


def test_without_its_decoder_a_line_names_what_to_install(no_decoder):
    with pytest.raises(ImageError) as problem:
        open_image(PHONE)
    assert "lantu[train]" in str(problem.value.hint)
    pixels, (note,) = load_picture(Entry("phone", InFile(PHONE), {}), 32)
    assert pixels is None
    assert "lantu[train]" in note.reason


def test_a_damaged_one_is_left_out(tmp_path):
    (tmp_path / "half.heic").write_bytes(PHONE.read_bytes()[:300])
    pixels, (note,) = load_picture(Entry("half", InFile(tmp_path / "half.heic"), {}), 32)
    assert pixels is None
    assert note.reason
    with pytest.raises(ImageError):
        open_image(tmp_path / "half.heic")
