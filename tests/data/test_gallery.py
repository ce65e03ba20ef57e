import json

import numpy as np
import pytest

from lantu.data.gallery import SPRITE_SIZE, Concept, load_gallery, save_gallery
from lantu.errors import DataError

CAT = Concept("1F431", {"en": "cat", "zh": "猫"}, {"en": ("kitty",), "zh": ()}, "animals-nature", "animal-mammal")
SUN = Concept("2600", {"en": "sun", "zh": "太阳"}, {"en": (), "zh": ()}, "travel-places", "sky-weather")
CELLS = [("1F431", "noto"), ("2600", "noto"), ("1F431", "twemoji")]


def sprite(shade):
    return np.full((SPRITE_SIZE, SPRITE_SIZE, 4), shade, np.uint8)


@pytest.fixture
def folder(tmp_path):
    save_gallery(tmp_path / "g", {"1F431": CAT, "2600": SUN}, ("noto", "twemoji"), CELLS, map(sprite, (1, 2, 3)), "abc")
    return tmp_path / "g"


def test_what_is_stored_comes_back(folder):
    gallery = load_gallery(folder)
    assert gallery.concepts == {"1F431": CAT, "2600": SUN}
    assert list(gallery.concepts) == ["1F431", "2600"]
    assert gallery.styles == ("noto", "twemoji")
    assert gallery.digest == "abc"
    assert len(gallery) == 3
    for (concept, style), shade in zip(CELLS, (1, 2, 3), strict=True):
        assert np.array_equal(gallery.sprite(concept, style), sprite(shade))


def test_a_missing_drawing_is_known_to_be_missing(folder):
    gallery = load_gallery(folder)
    assert gallery.has("1F431", "twemoji")
    assert not gallery.has("2600", "twemoji")
    assert gallery.styles_of("1F431") == ("noto", "twemoji")
    assert gallery.styles_of("2600") == ("noto",)
    with pytest.raises(KeyError):
        gallery.sprite("2600", "twemoji")


@pytest.mark.parametrize("missing", ["gallery.json", "sprites.npy"])
def test_a_gallery_that_is_not_whole_is_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(DataError, match="no gallery"):
        load_gallery(folder)


def test_a_catalogue_that_fits_other_drawings_is_refused(folder):
    catalogue = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    del catalogue["concepts"][1]
    (folder / "gallery.json").write_text(json.dumps(catalogue), encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        load_gallery(folder)


def test_a_gallery_whose_writing_fails_is_not_taken_for_whole(folder):
    def failing():
        yield sprite(9)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        save_gallery(folder, {"1F431": CAT}, ("noto",), CELLS[:1] * 2, failing())
    with pytest.raises(DataError):
        load_gallery(folder)
