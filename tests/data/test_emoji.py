import numpy as np
import pytest
from fake_packages import CAT, DOG, SUN, make_cache

from lantu.data import emoji
from lantu.data.drawings import drawings
from lantu.data.emoji import build_gallery
from lantu.data.gallery import SPRITE_SIZE, load_gallery
from lantu.data.names import all_labels, world_concepts
from lantu.data.styles import STYLES
from lantu.errors import DataError

DRAWN = ("noto", "noto-v1", "fluent-3d")


@pytest.fixture
def cache(tmp_path):
    return make_cache(tmp_path / "cache")


def test_a_gallery_holds_what_the_styles_draw(cache, tmp_path):
    seen = []
    gallery = build_gallery(tmp_path / "g", "everyday", DRAWN, 1, lambda done, total: seen.append((done, total)), cache)
    assert list(gallery.concepts) == [CAT, DOG, SUN]
    assert [gallery.styles_of(key) for key in (CAT, DOG, SUN)] == [
        ("noto", "noto-v1"),
        ("noto",),
        ("noto-v1", "fluent-3d"),
    ]
    assert seen[-1] == (5, 5)
    middle = SPRITE_SIZE // 2
    assert gallery.sprite(CAT, "noto")[middle, middle].tolist() == [255, 0, 0, 255]
    assert gallery.sprite(DOG, "noto")[middle, middle].tolist() == [0, 0, 255, 255]
    assert {path.name for path in (tmp_path / "g").iterdir()} == {"gallery.json", "sprites.npy"}


def test_a_build_that_was_stopped_goes_on(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(emoji, "PART", 1)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_gallery(tmp_path / "g", "everyday", DRAWN, 1, stop, cache)
    with pytest.raises(DataError):
        load_gallery(tmp_path / "g")
    part = min((tmp_path / "g").glob("parts-*/*.npy"))
    marked = np.load(part)
    marked[:] = 7
    np.save(part, marked)
    gallery = build_gallery(tmp_path / "g", "everyday", DRAWN, 1, None, cache)
    assert (gallery.sprite(CAT, "noto") == 7).all()
    assert gallery.sprite(DOG, "noto").max() == 255


def test_a_gallery_that_is_up_to_date_is_opened_as_it_is(cache, tmp_path):
    build_gallery(tmp_path / "g", "everyday", ("fluent-3d",), 1, None, cache)
    before = (tmp_path / "g" / "sprites.npy").stat().st_mtime_ns
    calls = []
    build_gallery(tmp_path / "g", "everyday", ("fluent-3d",), 1, lambda *done: calls.append(done), cache)
    assert not calls
    assert (tmp_path / "g" / "sprites.npy").stat().st_mtime_ns == before
    rebuilt = build_gallery(tmp_path / "g", "everyday", ("noto",), 1, None, cache)
    assert rebuilt.styles == ("noto",)


def test_an_unknown_style_is_refused(cache, tmp_path):
    with pytest.raises(DataError, match="no style is called 'oil'"):
        build_gallery(tmp_path / "g", "everyday", ("oil",), 1, None, cache)


@pytest.mark.network
def test_every_everyday_thing_is_drawn_in_five_styles_at_least():
    labels = all_labels()
    drawn = [drawings(style, labels) for style in STYLES]
    few = [
        concept.names["en"]
        for concept in world_concepts("everyday").values()
        if sum(concept.key in d for d in drawn) < 5
    ]
    assert not few
