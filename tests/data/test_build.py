import json
import os
from pathlib import Path

import numpy as np
import pytest
from fake_data import image
from PIL import Image

from lantu.data.account import account_of
from lantu.data.build import build_emoji, build_folder
from lantu.data.codes import load_codes
from lantu.data.emoji import gallery_place
from lantu.data.gallery import SPRITE_SIZE, Concept, save_gallery
from lantu.data.shards import Shards, gallery_of, read_index
from lantu.data.styles import FIRST
from lantu.data.styles import STYLES as STYLES_OF_ALL
from lantu.errors import DataError

STYLES = ("noto", "fluent-flat")
NAMES = {
    "1F431": ("cat", "猫"),
    "1F436": ("dog", "狗"),
    "1F34E": ("apple", "苹果"),
    "1F697": ("car", "汽车"),
    "1F41F": ("fish", "鱼"),
    "1F333": ("tree", "树"),
    "1F433": ("whale", "鲸鱼"),  # held out in fluent-flat, like the pair of cat and dog
}


def save_small_gallery(folder: Path) -> None:
    """Seven concepts in two styles, each drawing a disc of its own colour."""
    concepts = {
        key: Concept(key, {"en": en, "zh": zh}, {"en": (), "zh": ()}, "objects", "other")
        for key, (en, zh) in NAMES.items()
    }
    cells = [(key, style) for key in NAMES for style in STYLES]
    ys, xs = np.mgrid[:SPRITE_SIZE, :SPRITE_SIZE] - SPRITE_SIZE // 2
    disc = (ys**2 + xs**2 < (SPRITE_SIZE // 2) ** 2) * np.uint8(255)
    drawn = (np.dstack([disc // 8 * number, disc // 3, disc // 2, disc]) for number in range(len(cells)))
    save_gallery(folder, concepts, STYLES, cells, drawn)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache with a small gallery in it."""
    monkeypatch.setenv("LANTU_CACHE", str(tmp_path / "cache"))
    save_small_gallery(tmp_path / "cache/galleries/everyday")
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Twenty captioned pictures and a broken one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(image(number, 32)).save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(f"picture {number}\n第{number}张图")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tar")}


def test_scenes_are_composed_into_every_split(cache, tmp_path):
    seen = []
    counts = {"train": 12, "val": 3, "heldout": 2}
    folder = build_emoji(
        tmp_path / "data", **counts, size=64, snap=4, workers=1, progress=lambda *place: seen.append(place)
    )
    assert seen == [(12, 17), (15, 17), (17, 17)]
    assert [len(Shards(folder, split)) for split in ("train", "val", "heldout")] == [12, 3, 2]
    train = Shards(folder, "train")
    assert train.images(range(12)).shape == (12, 64, 64, 3)
    samples = [train.sample(number) for number in range(12)]
    assert len({sample.key for sample in samples}) == 12
    assert all(sample.captions["en"] and sample.captions["zh"] and sample.objects for sample in samples)
    assert {placed.concept for sample in samples for placed in sample.objects} <= set(NAMES)
    index = read_index(folder)
    assert index["settings"] == {
        "world": "everyday",
        "styles": list(STYLES),
        "size": 64,
        "snap": 4,
        "seed": 0,
        "counts": counts,
    }
    assert gallery_of(folder) == (cache / "galleries/everyday").resolve()


def test_two_processes_compose_what_one_does(cache, tmp_path):
    options = {"train": 4, "val": 3, "heldout": 0, "size": 64, "snap": 4}
    alone = build_emoji(tmp_path / "alone", workers=1, **options)
    together = build_emoji(tmp_path / "together", workers=2, **options)
    assert tars(alone) == tars(together)
    assert list(read_index(alone)["splits"]) == ["train", "val"]
    assert tars(alone) != tars(build_emoji(tmp_path / "other", workers=1, seed=1, **options))


def test_the_default_place_is_in_the_cache(cache):
    assert build_emoji(train=1, val=0, heldout=0, size=64, snap=4) == cache / "data/emoji-everyday-64"


def test_styles_are_those_asked_for(cache, tmp_path):
    folder = build_emoji(tmp_path / "data", styles=["fluent-flat"], train=6, val=0, heldout=0, size=64, snap=4)
    shards = Shards(folder, "train")
    assert {placed.style for number in range(6) for placed in shards.sample(number).objects} == {"fluent-flat"}
    with pytest.raises(DataError, match="no style is called 'twemoji': choose from noto, fluent-flat"):
        build_emoji(tmp_path / "oil", styles=["twemoji"])
    assert not (tmp_path / "oil").exists()


def test_a_style_that_nobody_draws_is_refused_before_a_gallery_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("LANTU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lantu.data.build.build_gallery", lambda *_: pytest.fail("it is made"))
    with pytest.raises(DataError, match="no style is called 'oil': choose from noto"):
        build_emoji(tmp_path / "oil", styles=["noto", "oil"])


def test_other_settings_or_another_gallery_are_not_mixed(cache, tmp_path):
    options = {"val": 0, "heldout": 0, "size": 64, "snap": 4}
    build_emoji(tmp_path / "data", train=2, **options)
    with pytest.raises(DataError, match=r"other settings \(counts, seed\)"):
        build_emoji(tmp_path / "data", train=3, seed=1, **options)
    catalogue = cache / "galleries/everyday/gallery.json"
    catalogue.write_text(catalogue.read_text().replace('"cat"', '"tomcat"'))
    with pytest.raises(DataError, match="other drawings or pictures"):
        build_emoji(tmp_path / "data", train=2, **options)


def test_a_users_own_pictures_are_taken_in(pictures, tmp_path):
    folder = build_folder(pictures, tmp_path / "data", size=16, val=0.2, workers=1)
    index = read_index(folder)
    assert index["skipped"] == [{"file": "broken.png", "reason": "it is not a picture"}]
    train, val = Shards(folder, "train"), Shards(folder, "val")
    assert len(train) + len(val) == 20
    assert len(val) in (3, 4)
    samples = [shards.sample(i) for shards in (train, val) for i in range(len(shards))]
    assert sorted(sample.key for sample in samples) == [f"{number:02d}.png" for number in range(20)]
    assert {sample.key: dict(sample.captions) for sample in samples}["07.png"] == {
        "en": ("picture 7",),
        "zh": ("第7张图",),
    }
    assert train.images([0, 1]).shape == (2, 16, 16, 3)


def test_the_same_pictures_give_the_same_data_and_changed_ones_are_not_mixed(pictures, tmp_path):
    one = build_folder(pictures, tmp_path / "one", size=16)
    assert tars(one) == tars(build_folder(pictures, tmp_path / "two", size=16, workers=2))
    assert build_folder(pictures, tmp_path / "one", size=16) == one
    (pictures / "03.txt").write_text("another caption")
    with pytest.raises(DataError, match="other drawings or pictures"):
        build_folder(pictures, tmp_path / "one", size=16)


def test_a_picture_that_changed_but_kept_its_length_and_its_date_is_other_data(pictures, tmp_path):
    build_folder(pictures, tmp_path / "one", size=16)
    file, times = pictures / "03.png", (pictures / "03.png").stat()
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == times.st_size
    with pytest.raises(DataError, match="other drawings or pictures"):
        build_folder(pictures, tmp_path / "one", size=16)


def groups(folder: Path) -> dict[tuple[str, str], list[str]]:
    return {(one["kind"], one["reason"]): one["files"] for one in account_of(read_index(folder))}


def test_the_account_is_kept_whole_and_outlives_a_lost_tar(pictures, tmp_path):
    Image.new("RGB", (40, 20)).save(pictures / "wide.png")
    Image.new("RGB", (8, 8)).save(pictures / "small.png")
    (pictures / "copy.png").write_bytes((pictures / "07.png").read_bytes())
    (pictures / "captions.csv").write_text("file,caption,label\nsmall.png,a dot,1\nnone.png,a cat,2\n")
    folder = build_folder(pictures, tmp_path / "data", size=16, workers=1)
    index, told = read_index(folder), groups(folder)
    assert told == {
        ("taken", "captions from .txt files beside pictures"): [],
        ("taken", "captions from tables"): ["captions.csv"],
        ("taken", "pictures with captions in en"): [],
        ("taken", "pictures with captions in zh"): [],
        ("taken", "pictures without a caption"): ["broken.png", "copy.png", "wide.png"],
        ("taken", "pictures whose bytes are those of another one"): ["copy.png"],
        ("changed", "cropped to the central square (--aspect pad keeps all of it)"): ["wide.png"],
        ("changed", "enlarged, as smaller than 16 pixels (--size makes smaller data)"): ["small.png"],
        ("not used", "columns of tables that are neither a picture's name nor captions"): ["captions.csv: label"],
        ("left out", "rows whose picture isn't there"): ["none.png"],
        ("left out", "it is not a picture"): ["broken.png"],
    }
    assert index["skipped"] == [
        {"file": "broken.png", "reason": "it is not a picture"},
        {"file": "none.png", "reason": "rows whose picture isn't there"},
    ]
    (folder / "train-00000.tar").unlink()
    assert read_index(build_folder(pictures, tmp_path / "data", size=16, workers=1)) == index
    (pictures / "notes.md").write_text("no picture, so the data is the same, but the account tells it")
    build_folder(pictures, tmp_path / "data", size=16, workers=1)
    assert groups(folder) == told | {("not used", "neither pictures nor captions (.md)"): ["notes.md"]}


def test_pictures_that_are_not_square_are_cropped_or_padded(tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    Image.new("RGB", (40, 20), "red").save(source / "wide.png")
    cropped = build_folder(source, tmp_path / "crop", size=16)
    padded = build_folder(source, tmp_path / "pad", size=16, aspect="pad")
    assert (Shards(cropped, "train").image(0) == (255, 0, 0)).all()
    assert (Shards(padded, "train").image(0)[0] == 255).all()
    assert ("changed", "padded with white to a square (--aspect crop fills it)") in groups(padded)
    with pytest.raises(DataError, match=r"other settings \(aspect\)"):
        build_folder(source, cropped, size=16, aspect="pad")


def test_no_picture_is_kept_for_validation_where_none_is_asked_for(pictures, tmp_path):
    folder = build_folder(pictures, tmp_path / "data", size=16, val=0)
    assert read_index(folder)["splits"] == {"train": {"count": 20, "shards": 1}}
    assert len(Shards(folder, "val", or_empty=True)) == 0
    assert len(load_codes(folder, "any", "val", or_empty=True)) == 0
    with pytest.raises(DataError, match="no split 'val'"):
        Shards(folder, "val")


def test_several_captions_of_the_only_picture_are_one_picture(tmp_path):
    Image.fromarray(image(1, 32)).save(tmp_path / "one.png")
    (tmp_path / "captions.csv").write_text("image,caption\none.png,a cat\none.png,a red cat\n")
    train = Shards(build_folder(tmp_path, tmp_path / "data", size=16), "train")
    assert [train.sample(number).captions for number in range(len(train))] == [{"en": ("a cat", "a red cat")}]
    again = build_folder(tmp_path, tmp_path / "data", size=16)  # which lies in the source itself now
    assert ("not used", "the folder that is being built") in groups(again)


def test_a_single_picture_is_for_training(tmp_path):
    Image.fromarray(image(1, 32)).save(tmp_path / "one.png")
    folder = build_folder(tmp_path / "one.png", tmp_path / "data", size=16)
    assert json.loads((folder / "index.json").read_text())["splits"] == {"train": {"count": 1, "shards": 1}}


def test_pictures_of_which_none_can_be_read_are_an_error(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"no picture for training: look at the first: a\.png"):
        build_folder(tmp_path / "pictures", tmp_path / "data")


def test_names_and_captions_that_are_no_characters_can_be_written(tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    for name in (b"bad-\xff.png", b"bad-\xfe.png"):
        Image.new("RGB", (16, 16)).save(source / os.fsdecode(name))
    (source / os.fsdecode(b"odd-\xfd.md")).write_text("")
    (source / os.fsdecode(b"bad-\xff.json")).write_text('{"caption": "a \\ud83d cat"}')
    folder = build_folder(source, tmp_path / "data", size=16, val=0)
    train = Shards(folder, "train")
    assert {train.sample(number).key for number in range(2)} == {"bad-\\udcff.png", "bad-\\udcfe.png"}
    assert [train.sample(n).captions for n in range(2) if train.sample(n).captions] == [{"en": ("a \\ud83d cat",)}]
    assert ("not used", "neither pictures nor captions (.md)") in groups(folder)


def test_things_anywhere_are_settings_of_their_own(cache, tmp_path):
    options = {"train": 8, "val": 0, "heldout": 0, "size": 64, "workers": 1}
    folder = build_emoji(tmp_path / "data", placement="anywhere", **options)
    settings = read_index(folder)["settings"]
    assert settings["placement"] == "anywhere"
    slots = {(1 / 8, 1 / 8, 7 / 8, 7 / 8), (0, 0.25, 0.5, 0.75), (0.5, 0.25, 1, 0.75)}
    shards = Shards(folder, "train")
    assert not slots & {placed.box for number in range(8) for placed in shards.sample(number).objects}
    assert "placement" not in read_index(build_emoji(tmp_path / "slots", **options))["settings"]
    with pytest.raises(DataError, match=r"other settings \(placement\)"):
        build_emoji(tmp_path / "slots", placement="anywhere", **options)
    with pytest.raises(DataError, match="choose from slots, anywhere"):
        build_emoji(tmp_path / "none", placement="nowhere", **options)
    assert not (tmp_path / "none").exists()
    edits = build_emoji(tmp_path / "edits", placement="anywhere", edits=4, **options)
    before, after = (Shards(edits, "edits").sample(number) for number in (0, 1))
    assert before.kind == "before"
    assert after.captions["en"]
    assert not slots & {placed.box for placed in (*before.objects, *after.objects)}


def test_the_eighth_style_has_a_gallery_of_its_own(cache):
    first = gallery_place("everyday", None)
    assert first == gallery_place("everyday", ["noto", "twemoji"]) == (cache / "galleries/everyday", FIRST)
    assert gallery_place("everyday", ["noto", "streamline"]) == (cache / "galleries/everyday-8", tuple(STYLES_OF_ALL))
    assert gallery_place("everyday", ["oil"]) == first
    assert gallery_place("composable", None) == (cache / "galleries/composable-words", FIRST)  # beside the former one
    assert gallery_place("composable", ["streamline"])[0] == cache / "galleries/composable-words-8"
