"""Without -o, no command overwrites a file that holds something else."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from lantu.commands.options import unused
from lantu.images import metadata


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".png")


def test_a_name_is_free_only_if_all_its_numbered_files_are(tmp_path):
    (tmp_path / "a-1.png").touch()
    (tmp_path / "a-2.png").touch()
    assert unused(tmp_path / "a.png") == tmp_path / "a.png"
    assert unused(tmp_path / "a.png", 1) == tmp_path / "a.png"
    assert unused(tmp_path / "a.png", 2) == tmp_path / "a-2.png"  # as its files are a-2-1.png and a-2-2.png
    (tmp_path / "a-2-2.png").touch()
    assert unused(tmp_path / "a.png", 2) == tmp_path / "a-3.png"


def test_several_codes_are_rendered_beside_the_pictures_they_came_from(lantu, tmp_path):
    lantu("draw", "three apples", "-n", 2, "-o", "apples.png", "--seed", 3)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    lantu("tokenize", *before, "-o", "apples.json")
    code, out, _ = lantu("detokenize", "apples.json", "--json")
    assert (code, json.loads(out)["files"]) == (0, ["apples-2-1.png", "apples-2-2.png"])
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_the_same_drawing_keeps_its_name_and_another_gets_its_own(lantu, tmp_path):
    files = []
    for more in ([], [], ["--steps", 3], ["--steps", 3], []):
        files += json.loads(lantu("draw", "a cat", "--seed", 7, "--json", *more)[1])["files"]
    assert files == ["a-cat-7.png", "a-cat-7.png", "a-cat-7-2.png", "a-cat-7-2.png", "a-cat-7.png"]
    steps = [metadata.read_picture(name).settings["steps"] for name in ("a-cat-7.png", "a-cat-7-2.png")]
    assert steps == [2, 3]


def test_several_drawings_overwrite_none_of_others(lantu, tmp_path):
    lantu("draw", "a cat", "-n", 2, "--seed", 7)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    told = json.loads(lantu("draw", "a cat", "-n", 3, "--seed", 7, "--json")[1])["files"]
    assert told == ["a-cat-7-1.png", "a-cat-7-2.png", "a-cat-7-3.png"]
    told = json.loads(lantu("draw", "a cat", "-n", 2, "--seed", 7, "--steps", 3, "--json")[1])["files"]
    assert told == ["a-cat-7-1-2.png", "a-cat-7-2-2.png"]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("kind", ["folder", "broken link"])
def test_what_is_no_file_is_in_the_way_too(lantu, tmp_path, kind):
    if kind == "folder":
        (tmp_path / "a-cat-7.png").mkdir()
    else:
        os.symlink("nowhere", tmp_path / "a-cat-7.png")
    assert lantu("draw", "a cat", "--seed", 7)[1].startswith("a-cat-7-2.png")


def test_a_picture_is_not_overwritten_by_one_that_is_drawn_like_it(lantu, tmp_path):
    lantu("draw", "a cat", "--seed", 7)
    lantu("edit", "a-cat-7.png", "a cat", "--box", "0,0,16,16", "-o", "edited.png", "--seed", 7)
    os.replace("edited.png", "a-cat-7.png")
    before = (tmp_path / "a-cat-7.png").read_bytes()
    assert lantu("draw", "--like", "a-cat-7.png")[1].startswith("a-cat-7-2.png")
    assert (tmp_path / "a-cat-7.png").read_bytes() == before


def test_a_picture_that_its_prompt_does_not_draw_again_gets_a_note(lantu, tmp_path):
    lantu("draw", "a cat", "--seed", 7, "-o", "a.png")
    lantu("edit", "a.png", "a dog", "--box", "0,0,16,16", "-o", "edited.png", "--seed", 7)
    code, _, err = lantu("draw", "--like", "edited.png", "-o", "b.png")
    assert (code, err.count("\n")) == (0, 1)
    assert "edited.png can't be drawn again from its prompt and seed" in err
    for same in (["--like", "a.png"], ["--like", "a.png", "-n", 2]):
        assert lantu("draw", *same, "-o", "b.png")[::2] == (0, "")
    # What the user changes is another picture anyway.
    for changed in (["--seed", 8], ["--steps", 3], ["--temperature", 2]):
        assert lantu("draw", "--like", "edited.png", *changed, "-o", "b.png")[::2] == (0, "")


@pytest.mark.parametrize("name", ["a.png", "b.JPG", "c.webp", "d.heic"])
def test_a_tokens_file_never_has_the_name_of_a_picture(lantu, tmp_path, name):
    Image.new("RGB", (32, 32)).save("a.png")
    before = (tmp_path / "a.png").read_bytes()
    for words in (("tokenize", "a.png", "-o", name), ("draw", "a cat", "-o", "x.png", "--tokens-out", name)):
        code, out, err = lantu(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "the name of a picture: end it with .json" in err
    assert (tmp_path / "a.png").read_bytes() == before
    assert names(tmp_path) == ["a.png"]


def test_a_tokens_file_overwrites_nothing_that_the_command_reads(lantu, tmp_path):
    Image.new("RGB", (32, 32)).save("picture", format="PNG")
    (tmp_path / "t.json").write_text("[[1, 2], [3, 4]]")
    os.symlink("picture", "link")
    for words in (
        ("tokenize", "picture", "-o", "link"),
        ("draw", "--from-tokens", "t.json", "--tokens-out", "./t.json", "-o", "x.png"),
    ):
        code, out, err = lantu(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "would overwrite" in err
    assert not os.path.exists("x.png")


def test_a_tokens_file_that_cant_be_written_is_refused_before_drawing(lantu, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name in ("file/t.json", "folder"):
        code, out, err = lantu("draw", "a cat", "-o", "x.png", "--tokens-out", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "can't write" in err
        assert not os.path.exists("x.png")
    assert lantu("draw", "a cat", "-o", "x.png", "--tokens-out", "new/folder/t.json")[0] == 0
    assert lantu("draw", "a cat", "-o", "x.png", "--tokens-out", os.devnull)[0] == 0


def test_a_tokens_file_may_begin_with_a_byte_order_mark(lantu, tmp_path):
    (tmp_path / "t.json").write_text("[[1, 2, 3, 4]] ", encoding="utf-8-sig")
    assert lantu("detokenize", "t.json", "-o", "a.png")[0] == 0
    assert np.array_equal(metadata.read_picture("a.png").codes, [[1, 2, 3, 4]])
