import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fake_data import image, make_data
from PIL import Image

from lantu.data.folder import Entry, InFile, find_entries, language_of, load_picture
from lantu.data.shards import Skipped
from lantu.errors import DataError


def png(number: int, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image(number, size)).save(file, format="PNG")
    return file.getvalue()


def entry(path: Path) -> Entry:
    return Entry(path.name, InFile(path), {})


def firsts(entries: list[Entry]) -> list[int]:
    return [int(load_picture(one, 8)[0, 0, 0]) for one in entries]


def test_captions_lie_beside_pictures(tmp_path):
    (tmp_path / "deep").mkdir()
    for number, name in enumerate(["a.png", "b.PNG", "deep/c.png", "d.png"]):
        (tmp_path / name).write_bytes(png(number))
    (tmp_path / "a.txt").write_text("A red cat\n\n红猫\n  two   spaces \n", encoding="utf-8-sig")
    (tmp_path / "b.json").write_text(json.dumps({"caption": ["a dog", "狗"], "caption_zh": "一只狗"}))
    (tmp_path / "deep/c.json").write_text(json.dumps({"captions": {"en": ["a tree"], "fr": "un arbre"}}))
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "._a.png").write_text("what another system leaves")
    entries, skipped = find_entries(tmp_path)
    assert [one.key for one in entries] == ["a.png", "b.PNG", "d.png", "deep/c.png"]
    assert [dict(one.captions) for one in entries] == [
        {"en": ("A red cat", "two spaces"), "zh": ("红猫",)},
        {"en": ("a dog",), "zh": ("狗", "一只狗")},
        {},
        {"en": ("a tree",), "fr": ("un arbre",)},
    ]
    assert firsts(entries) == [0, 1, 3, 2]
    assert not skipped


@pytest.mark.parametrize("bad", ["{", "[]", '{"caption": 7}', '{"caption": [7]}', '{"captions": 7}'])
def test_captions_that_cannot_be_read_are_named(tmp_path, bad):
    (tmp_path / "a.png").write_bytes(png(0))
    (tmp_path / "b.png").write_bytes(png(1))
    (tmp_path / "b.json").write_text(bad)
    entries, skipped = find_entries(tmp_path)
    assert [one.key for one in entries] == ["a.png"]
    assert [one.file for one in skipped] == ["b.png"]
    assert "captions can't be read" in skipped[0].reason


def test_a_csv_table_names_pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/one.png").write_bytes(png(1))
    table = tmp_path / "table.csv"
    rows = 'image,caption,caption_zh,more\npictures/one.png,"a cat, red",红猫,x\nmissing.png,a dog,,x\n,nothing,,x\n'
    table.write_text(rows, encoding="utf-8-sig")
    entries, skipped = find_entries(table)
    assert [(one.key, dict(one.captions)) for one in entries] == [
        ("pictures/one.png", {"en": ("a cat, red",), "zh": ("红猫",)})
    ]
    assert firsts(entries) == [1]
    assert [(one.file, one.reason) for one in skipped] == [
        ("missing.png", "it isn't there"),
        ("table.csv row 3", "no image is named"),
    ]


def parquet(path: Path, images: list, captioned: bool = True) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    captions = {"caption": ["a cat", None, "狗"]} if captioned else {}
    write_table(pyarrow.table({"image": pyarrow.array(images)} | captions), path, row_group_size=2)
    return path


def test_a_parquet_table_holds_pictures_or_names_them(tmp_path):
    expected = [{"en": ("a cat",)}, {}, {"zh": ("狗",)}]
    held = parquet(tmp_path / "held.parquet", [{"bytes": png(number), "path": "x.png"} for number in (5, 6, 7)])
    entries, _ = find_entries(held)
    assert [dict(one.captions) for one in entries] == expected
    assert firsts(entries) == [5, 6, 7]
    bare = parquet(tmp_path / "bare.parquet", [png(5), None, png(7)], captioned=False)
    entries, _ = find_entries(bare)
    assert [dict(one.captions) for one in entries] == [{}, {}, {}]
    assert load_picture(entries[1], 8) == Skipped("bare.parquet row 2", "the cell is empty")
    assert firsts([entries[0], entries[2]]) == [5, 7]
    (tmp_path / "seven.png").write_bytes(png(7))
    entries, skipped = find_entries(parquet(tmp_path / "names.parquet", ["seven.png", "none.png", None]))
    assert firsts(entries) == [7]
    assert [one.file for one in skipped] == ["none.png", "names.parquet row 3"]


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_table_that_cannot_be_read_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00\x81 no table")
    with pytest.raises(DataError, match=f"{name} can't be read"):
        find_entries(tmp_path)


def test_a_table_without_the_column_is_an_error(tmp_path):
    (tmp_path / "table.csv").write_text("file,text\na.png,a cat\n")
    with pytest.raises(DataError, match=r"no column image \(it has file, text\)"):
        find_entries(tmp_path)


def test_tars_of_the_webdataset_kind(tmp_path):
    make_data(tmp_path / "ours", train=5)
    folder = tmp_path / "tars"
    folder.mkdir()
    shutil.copy(tmp_path / "ours/train-00000.tar", folder)
    with tarfile.open(folder / "z.tar", "w") as tar:
        for name, content in {
            "x/1.jpg": png(9),
            "x/1.txt": b"a tree",
            "2.png": png(3),
            "2.json": b"{",
            "3.cls": b"5",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (folder / "zz.tar").write_bytes(b"no tar" * 200)
    entries, skipped = find_entries(folder)
    assert [one.key for one in entries] == [*(f"train-00000.tar/000000{i}" for i in range(4)), "z.tar/x/1"]
    assert entries[2].captions == {"en": ("cat 2", "a cat"), "zh": ("猫2",)}
    assert entries[4].captions == {"en": ("a tree",)}
    assert firsts(entries) == [0, 1, 2, 3, 9]
    assert [one.file for one in skipped] == ["z.tar/2.json", "zz.tar"]


def test_nothing_to_take_in_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no pictures in"):
        find_entries(tmp_path)
    with pytest.raises(DataError, match="isn't there"):
        find_entries(tmp_path / "nowhere")


def test_the_central_square_is_kept(tmp_path):
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 22:78] = (0, 200, 0)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (load_picture(entry(tmp_path / "wide.png"), 20) == (0, 200, 0)).all()


def test_transparency_turns_white_and_16_bits_are_scaled(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (load_picture(entry(tmp_path / "clear.png"), 8) == 255).all()
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert (load_picture(entry(tmp_path / "deep.png"), 8) == 127).all()


def test_a_camera_that_was_turned_is_turned_back(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    turned = load_picture(entry(tmp_path / "turned.png"), 16)
    assert turned[0].max() == 0
    assert turned[-1].min() == 255


@pytest.mark.parametrize("content", [b"", b"no picture", png(0)[:60], b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_a_broken_picture_is_skipped_with_a_reason(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    skipped = load_picture(entry(tmp_path / "broken.png"), 8)
    assert isinstance(skipped, Skipped)
    assert skipped.reason


def test_languages_are_told_apart_by_their_characters():
    assert [language_of(text) for text in ("a cat", "一只cat", "", "¿qué?")] == ["en", "zh", "en", "en"]
