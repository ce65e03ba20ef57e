import json

import numpy as np
import pytest
from PIL import Image

from lantu.data.build import build_folder
from lantu.data.folder import find_entries
from lantu.data.shards import Shards, read_index
from lantu.errors import DataError


def picture(path, colour="red", mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (16, 16), colour).save(path)


def captions(path, labels):
    return {one.key: dict(one.captions) for one in find_entries(path, labels=labels).entries}


def test_names_of_folders_are_captions_if_asked_for(tmp_path):
    for name in ("t-shirt/1.png", "更多/绿_苹果/2.png", "loose.png"):
        picture(tmp_path / name)
    (tmp_path / "t-shirt" / "1.txt").write_text("a red shirt")
    assert captions(tmp_path, "folders") == {
        "loose.png": {},
        "t-shirt/1.png": {"en": ("a red shirt", "t shirt")},
        "更多/绿_苹果/2.png": {"zh": ("绿 苹果",)},
    }
    assert captions(tmp_path, "")["t-shirt/1.png"] == {"en": ("a red shirt",)}


def test_a_column_of_labels_is_a_caption_if_asked_for(tmp_path):
    for name in ("1.png", "2.png"):
        picture(tmp_path / name)
    (tmp_path / "captions.csv").write_text("file,caption,Class\n1.png,a red one,shoe\n2.png,,hat\n")
    assert captions(tmp_path, "class") == {"1.png": {"en": ("a red one", "shoe")}, "2.png": {"en": ("hat",)}}
    assert captions(tmp_path, "") == {"1.png": {"en": ("a red one",)}, "2.png": {}}


@pytest.mark.parametrize("labels", ["folders", "kind"])
def test_labels_that_are_not_there_are_an_error(tmp_path, labels):
    picture(tmp_path / "1.png")
    with pytest.raises(DataError, match="no labels"):
        find_entries(tmp_path, labels=labels)


def test_labels_without_captions_contradict_each_other(tmp_path):
    picture(tmp_path / "a" / "1.png")
    with pytest.raises(DataError, match="captions are left out"):
        find_entries(tmp_path, captions=False, labels="folders")


def test_transparent_pictures_lie_on_the_chosen_colour(tmp_path):
    picture(tmp_path / "in" / "clear.png", (0, 0, 0, 0), "RGBA")
    out = build_folder(tmp_path / "in", tmp_path / "out", 16, background="#80c0ff", workers=1)
    assert (Shards(out, "train").image(0) == np.array([0x80, 0xC0, 0xFF])).all()
    index = read_index(out)
    assert index["settings"]["background"] == "#80c0ff"
    assert "laid over #80c0ff where transparent" in json.dumps(index)
    white = build_folder(tmp_path / "in", tmp_path / "white", 16, background="#FFF", workers=1)
    assert (Shards(white, "train").image(0) == 255).all()
    assert "background" not in read_index(white)["settings"]


def test_a_colour_that_is_none_is_an_error(tmp_path):
    picture(tmp_path / "1.png")
    with pytest.raises(DataError, match="no colour is called 'grean'"):
        build_folder(tmp_path, tmp_path / "out", background="grean")
