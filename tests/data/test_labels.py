import json
import sys

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


def test_labels_that_are_numbers_have_their_names_where_the_table_knows_them(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    for name in ("1.png", "2.png"):
        picture(tmp_path / name)
    columns = {"file_name": ["1.png", "2.png"], "caption": ["a red one", None], "label": [1, 0]}
    write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    path = tmp_path / "table.parquet"
    assert captions(path, "label") == {"1.png": {"en": ("a red one", "1")}, "2.png": {"en": ("0",)}}
    features = {"label": {"names": ["hat", "shoe"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)
    assert captions(path, "label") == {"1.png": {"en": ("a red one", "shoe")}, "2.png": {"en": ("hat",)}}


def test_with_a_decoder_that_was_missing_the_same_command_takes_the_pictures(tmp_path, monkeypatch):
    from lantu.data import build

    drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.svg").write_text(drawing)
    with monkeypatch.context() as without:
        without.setitem(build.OPTIONAL, "SVG", ({".svg"}, lambda: False))
        without.setitem(sys.modules, "resvg_py", None)
        with pytest.raises(DataError, match="resvg-py"):
            build_folder(tmp_path / "in", tmp_path / "out", 16, workers=1)
        assert not list((tmp_path / "out").iterdir())
        picture(tmp_path / "in" / "2.png")
        partly = build_folder(tmp_path / "in", tmp_path / "partly", 16, val=0, workers=1)
        assert len(Shards(partly, "train")) == 1
    assert len(Shards(build_folder(tmp_path / "in", tmp_path / "out", 16, val=0, workers=1), "train")) == 2
    with pytest.raises(DataError, match="undecoded"):  # data never changes under those who use it
        build_folder(tmp_path / "in", tmp_path / "partly", 16, val=0, workers=1)


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
