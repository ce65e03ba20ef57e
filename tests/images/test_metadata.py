import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lantu.errors import DataError, DiskError, ImageError
from lantu.images import metadata
from lantu.types import Picture

PICTURE = Picture(
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)),
    np.arange(6).reshape(2, 3),
    '左边一只猫\n"a cat"',
    2**63 - 1,
    "0123456789abcdef",
    {"guidance": 3.5, "sampler": "euler"},
)


def test_png_tells_how_it_was_drawn(tmp_path):
    metadata.save_picture(PICTURE, tmp_path / "a.png")
    read = metadata.read_picture(tmp_path / "a.png")
    assert metadata.describe(read) == metadata.describe(PICTURE)
    assert np.array_equal(np.asarray(read.image), np.asarray(PICTURE.image))


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.WEBP", "a.PNG"])
def test_other_formats_are_pictures_too(tmp_path, name):
    metadata.save_picture(PICTURE, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.size == (8, 8)


def test_unknown_format_or_folder(tmp_path):
    with pytest.raises(ImageError, match="can't tell the format"):
        metadata.save_picture(PICTURE, tmp_path / "a.xyz")
    with pytest.raises(ImageError, match="is a folder"):
        metadata.check_output(tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DiskError, match="free some space"):
        metadata.save_picture(PICTURE, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def with_chunk(path, text):
    chunk = PngInfo()
    chunk.add_itxt("lantu", text)
    PICTURE.image.save(path, pnginfo=chunk)


def test_a_picture_that_tells_nothing(tmp_path):
    PICTURE.image.save(tmp_path / "a.png")
    PICTURE.image.save(tmp_path / "a.jpg")
    for name in ("a.png", "a.jpg"):
        with pytest.raises(ImageError, match="does not say how it was drawn"):
            metadata.read_picture(tmp_path / name)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"codes": "x"}', json.dumps({"codes": [[1e400]]})])
def test_a_picture_that_tells_nonsense(tmp_path, text):
    with_chunk(tmp_path / "a.png", text)
    with pytest.raises(ImageError, match="damaged"):
        metadata.read_picture(tmp_path / "a.png")


def test_tokens_files(tmp_path):
    metadata.write_tokens([metadata.describe(PICTURE)] * 2, tmp_path / "t.json")
    read = metadata.read_tokens((tmp_path / "t.json").read_text(), "t.json")
    assert [np.array_equal(picture["codes"], PICTURE.codes) for picture in read] == [True, True]
    assert read[0]["prompt"] == PICTURE.prompt


def test_a_bare_grid_is_a_tokens_file():
    assert metadata.read_tokens("[[1, 2], [3, 4]]", "t")[0]["codes"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "text",
    ["", "7", "[1, 2]", "[[1], [2, 3]]", "[[1.5]]", "[[]]", '[["a"]]', "{}", '{"pictures": []}', '{"pictures": [3]}'],
)
def test_no_tokens_file(text):
    with pytest.raises(DataError, match=r"t\.json"):
        metadata.read_tokens(text, "t.json")
