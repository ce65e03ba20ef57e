import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fake_data import image, make_data
from PIL import Image

from lantu.data.account import UNUSED, Note, grouped
from lantu.data.columns import language_of
from lantu.data.contents import Entry, InFile, load_picture
from lantu.data.folder import Found
from lantu.data.folder import find_entries as find
from lantu.errors import DataError


def png(number: int, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image(number, size)).save(file, format="PNG")
    return file.getvalue()


def entry(path: Path) -> Entry:
    return Entry(path.name, InFile(path), {})


def pixels(entry: Entry, size: int = 8, aspect="crop") -> np.ndarray:
    return load_picture(entry, size, aspect)[0]


def firsts(entries: list[Entry]) -> list[int]:
    return [int(pixels(one)[0, 0, 0]) for one in entries]


def find_entries(path: Path) -> tuple[list[Entry], list[Note]]:
    found = find(path)
    return found.entries, found.left_out


def reasons(found: Found) -> dict[str, int]:
    return {group["reason"]: group["count"] for group in grouped(found.notes)}


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
        ("missing.png", "rows whose picture isn't there"),
        ("table.csv row 3", "rows that name no picture"),
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
    assert load_picture(entries[1], 8) == (None, [Note("bare.parquet row 2", "the cell is empty")])
    assert firsts([entries[0], entries[2]]) == [5, 7]
    (tmp_path / "seven.png").write_bytes(png(7))
    entries, skipped = find_entries(parquet(tmp_path / "names.parquet", ["seven.png", "none.png", None]))
    assert firsts(entries) == [7]
    assert [one.file for one in skipped] == ["none.png", "names.parquet row 3"]


def test_names_in_a_parquet_table_may_be_categories(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    (tmp_path / "1.png").write_bytes(png(1))
    names = pyarrow.array(["1.png"]).dictionary_encode()
    write_table(pyarrow.table({"image": names, "caption": ["a cat"]}), tmp_path / "table.parquet")
    entries, skipped = find_entries(tmp_path / "table.parquet")
    assert [dict(one.captions) for one in entries] == [{"en": ("a cat",)}]
    assert not skipped


def test_captions_of_a_row_are_taken_though_one_is_no_text(tmp_path):
    (tmp_path / "1.png").write_bytes(png(1))
    (tmp_path / "rows.jsonl").write_text('{"file": "1.png", "caption": "a cat", "caption_zh": 5}\n')
    found = find(tmp_path / "rows.jsonl")
    assert [dict(one.captions) for one in found.entries] == [{"en": ("a cat",)}]
    assert Note("rows.jsonl row 1", "a caption is 5, not text", UNUSED) in found.notes


def test_columns_of_one_name_are_all_read(tmp_path):
    (tmp_path / "1.png").write_bytes(png(1))
    (tmp_path / "table.csv").write_text("file,caption,caption,,\n1.png,a cat,a tom,,\n")
    entries, _ = find_entries(tmp_path / "table.csv")
    assert [dict(one.captions) for one in entries] == [{"en": ("a cat", "a tom")}]


def test_an_odd_coco_file_is_a_table_that_cannot_be_read(tmp_path):
    (tmp_path / "coco.json").write_text('{"images": [{"id": [1], "file_name": "1.png"}], "annotations": []}')
    with pytest.raises(DataError, match="can't be read"):
        find_entries(tmp_path / "coco.json")


@pytest.mark.parametrize("box", ["0 0 1000000 1", "0 0 1 1000000"])
def test_a_drawing_that_would_fill_the_memory_is_left_out(tmp_path, box):
    pytest.importorskip("resvg_py")
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><rect width="9"/></svg>')
    picture, (note,) = load_picture(Entry("a.svg", InFile(tmp_path / "a.svg"), {}), 64)
    assert picture is None
    assert "30 times as long as wide" in note.reason


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_table_that_cannot_be_read_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00\x81 no table")
    with pytest.raises(DataError, match=f"{name} can't be read"):
        find_entries(tmp_path / name)


def test_a_table_without_the_column_is_an_error(tmp_path):
    (tmp_path / "table.csv").write_text("where,text\na.png,a cat\n")
    with pytest.raises(DataError, match=r"no column that names pictures \(it has where, text\): call the column file"):
        find_entries(tmp_path / "table.csv")


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
    with pytest.raises(DataError, match=r"there is no .*nowhere"):
        find_entries(tmp_path / "nowhere")


def test_the_central_square_is_kept(tmp_path):
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 22:78] = (0, 200, 0)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (pixels(entry(tmp_path / "wide.png"), 20) == (0, 200, 0)).all()
    padded = pixels(entry(tmp_path / "wide.png"), 20, "pad")
    assert (padded[:5] == 255).all()
    assert (padded[-5:] == 255).all()
    assert (padded[10, 10] == (0, 200, 0)).all()
    assert padded[10, 0].max() == 0


def test_transparency_turns_white_and_16_bits_are_scaled(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (pixels(entry(tmp_path / "clear.png")) == 255).all()
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert (abs(pixels(entry(tmp_path / "deep.png")).astype(int) - 127.5) < 1).all()


def test_a_camera_that_was_turned_is_turned_back(tmp_path):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(upright).save(tmp_path / "turned.png", exif=exif)
    turned = pixels(entry(tmp_path / "turned.png"), 16)
    assert turned[0].max() == 0
    assert turned[-1].min() == 255


@pytest.mark.parametrize("content", [b"", b"no picture", png(0)[:60], b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_a_broken_picture_is_skipped_with_a_reason(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    picture, notes = load_picture(entry(tmp_path / "broken.png"), 8)
    assert picture is None
    assert [(note.file, note.kind) for note in notes] == [("broken.png", "left out")]
    assert notes[0].reason


def test_languages_are_told_apart_by_their_characters():
    assert [language_of(text) for text in ("a cat", "一只cat", "", "¿qué?")] == ["en", "zh", "en", "en"]


def write(folder: Path, *names: str) -> Path:
    """Pictures, each of a first pixel of its own."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    return folder


def captions(found: Found) -> dict[str, dict]:
    return {one.key: dict(one.captions) for one in found.entries}


CAT, DOG = {"en": ("a cat",), "zh": ("猫",)}, {"en": ("a dog",)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", "file,caption,caption_zh\na.png,a cat,猫\nb/c.png,a dog,\n"),
        ("metadata.csv", "file_name,text_en,text_zh\na.png,a cat,猫\nb/c.png,a dog,\n"),
        ("any.csv", "Image Path;Description;zh\n./a.png;a cat;猫\nb\\c.png;a dog;\n"),
        ("any.tsv", "filename\tprompt\tprompt_cn\nA.PNG\ta cat\t猫\nc.png\ta dog\t\n"),
        ("captions.txt", "image,caption\na.png,a cat\na.png,猫\nc.png,a dog\n"),
        ("headless.csv", "a.png,a cat\na.png,猫\nb/c.png,a dog\n"),
        (
            "metadata.jsonl",
            '{"file_name": "a.png", "text": ["a cat", "猫"]}\n{"file_name": "b/c.png", "text": "a dog"}\n',
        ),
        (
            "list.json",
            '[{"image": "a.png", "captions": {"en": "a cat", "zh": ["猫"]}}, {"image": "b/c", "caption": "a dog"}]',
        ),
        ("meta_cap.json", '{"x/a": {"caption": ["a cat", "猫"]}, "x/b/c": {"caption": "a dog"}}'),
        (
            "coco.json",
            '{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "c.png"}], "annotations": ['
            '{"image_id": 1, "caption": "a cat"}, {"image_id": 1, "caption": "猫"}, '
            '{"image_id": 2, "caption": "a dog"}]}',
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_in_the_folder_are_read_as_others_write_them(tmp_path, name, content, encoding):
    write(tmp_path / "x", "a.png", "b/c.png", "d.png")
    (tmp_path / "x" / name).write_text(content, encoding=encoding)
    found = find(tmp_path / "x")
    assert captions(found) == {"a.png": CAT, "b/c.png": DOG, "d.png": {}}
    assert reasons(found)["captions from tables"] == 3
    assert reasons(found)["pictures without a caption"] == 1
    assert not found.left_out


def test_a_parquet_table_beside_loose_pictures_is_read_too(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write(tmp_path, "a.png", "b.png")
    rows = {"file_name": ["a.png", "b.png"], "caption": [["a cat", "猫"], None], "width": [8, 8]}
    write_table(pyarrow.table(rows), tmp_path / "train.parquet")
    found = find(tmp_path)
    assert captions(found) == {"a.png": CAT, "b.png": {}}
    assert (
        Note("train.parquet: width", "columns of tables that are neither a picture's name nor captions", "not used")
        in found.notes
    )


def test_a_table_beside_the_folder_is_read_and_what_is_outside_stays_out(tmp_path):
    write(tmp_path, "set/train/a.png", "set/test/b.png")
    (tmp_path / "set/metadata.csv").write_text("file_name,text,label\ntrain/a.png,a cat,3\ntest/b.png,a dog,4\n")
    (tmp_path / "set/prices.csv").write_text("file_name,text\ntrain/a.png,cheap\n")
    found = find(tmp_path / "set/train")
    assert captions(found) == {"a.png": {"en": ("a cat",)}}
    assert reasons(found)["rows of pictures outside the folder"] == 1


def test_captions_of_all_sources_are_joined_each_once(tmp_path):
    write(tmp_path, "a.png", "b.JPG", "c.png")
    (tmp_path / "a.txt").write_text("a cat\n")
    (tmp_path / "a.json").write_text('{"width": 8, "title": "猫"}')
    (tmp_path / "b.TXT").write_text("a dog")
    (tmp_path / "c.png.caption").write_text("a fox")
    (tmp_path / "t.csv").write_text("image,caption\na.png,a cat\na.png,a red cat\na.png,a cat\n")
    found = find(tmp_path)
    assert captions(found) == {
        "a.png": {"zh": ("猫",), "en": ("a cat", "a red cat")},
        "b.JPG": DOG,
        "c.png": {"en": ("a fox",)},
    }
    assert reasons(found)["keys of JSON files that hold no caption"] == 1


def test_everything_on_disk_is_accounted_for(tmp_path):
    root = write(tmp_path / "x", "a.png", "b.jfif", "no-suffix", "c.jxl", "d.bin", ".hidden.png", ".git/e.png")
    for name in ("a.txt", "lonely.txt", "README.txt", "notes.md", "odd.json", "more.zip", "sheet.xlsx"):
        (root / name).write_text('{"a": 1}' if name.endswith("json") else "a cat")
    write(tmp_path / "elsewhere", "deep/f.png")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "elsewhere-again").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "nothing.png")
    make_data(root / "built", train=2)
    with tarfile.open(root / "empty.tar", "w"):
        pass
    found = find(root)
    assert [one.key for one in found.entries] == ["a.png", "b.jfif", "elsewhere-again/deep/f.png"]
    told = {(group["kind"], group["reason"]): group["files"] for group in grouped(found.notes)}
    assert told == {
        ("taken", "captions from .txt files beside pictures"): [],
        ("taken", "pictures with captions in en"): [],
        ("taken", "pictures without a caption"): ["b.jfif", "elsewhere-again/deep/f.png"],
        ("taken", "folders reached through links"): ["elsewhere-again"],
        ("not used", "links to folders that are taken already"): ["link", "loop"],
        ("not used", "hidden files"): [".hidden.png"],
        ("not used", "hidden folders"): [".git"],
        ("not used", "data that lantu has built"): ["built"],
        ("not used", "captions without a picture"): ["lonely.txt"],
        ("not used", "texts that are not about one picture"): ["README.txt"],
        ("not used", "neither pictures nor captions (.md)"): ["notes.md"],
        ("not used", "JSON files that describe no picture"): ["odd.json"],
        ("not used", "tables of a kind that is not read: save them as CSV"): ["sheet.xlsx"],
        ("left out", "PNG by their content, but their names end otherwise: rename them"): ["d.bin", "no-suffix"],
        ("left out", "no decoder for .jxl here: convert it to PNG, JPEG or WebP"): ["c.jxl"],
        ("left out", "archives that are not read: unpack them, or make them .tar"): ["more.zip"],
        ("left out", "links to nothing"): ["gone.png"],
        ("left out", "tars without a picture"): ["empty.tar"],
    }


def test_a_stray_tar_hides_no_pictures(tmp_path):
    write(tmp_path, "a.png")
    with tarfile.open(tmp_path / "sub.tar", "w") as tar:
        for name, content in {
            "1.png": png(4),
            "1.TXT": b"a fox",
            "1.jpg": png(5),
            "1.cls": b"3",
            "x.y.png": png(6),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    found = find(tmp_path)
    assert captions(found) == {"a.png": {}, "sub.tar/1": {"en": ("a fox",)}}
    assert firsts(found.entries) == [0, 4]
    assert {note.file for note in found.left_out} == {"sub.tar/1.jpg", "sub.tar/x.y.png"}
    assert Note("sub.tar/1.cls", "class labels", "not used") in found.notes


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("captions.csv", "where,words\na.png,a cat\n", r"there is captions.csv \(with the columns where, words\)"),
        (
            "captions.csv",
            "file,label\na.png,3\n",
            r"there is captions.csv \(with the columns file, label\): take a column as captions \(--labels label\)",
        ),
        ("captions.csv", "file,caption\nz.png,a cat\n", "there is captions.csv, which names none of its pictures"),
        (
            "captions.csv",
            b"file,caption\na.png,\xc3\xa8\xff\n",
            r"captions.csv can't be read \(it is not in UTF-8\): save it anew",
        ),
        ("b.txt", "a cat", "there is b.txt, and no picture of that name"),
        ("a.json", '{"words": "a cat"}', "a.json lies beside a picture"),
        ("labels.json", '{"x": [1, 2]}', "there is labels.json"),
        ("captions.xlsx", b"PK", "there is captions.xlsx"),
    ],
)
def test_no_captions_though_there_seem_to_be_some_is_an_error_with_a_way_out(tmp_path, name, content, told):
    root = write(tmp_path / "x", "a.png")
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=f"has a caption, though {told}.*--no-captions"):
        find(root)
    assert captions(find(root, captions=False)) == {"a.png": {}}


def test_rows_that_mean_no_picture_or_several_are_counted_by_reason(tmp_path):
    write(tmp_path, "a/1.png", "b/1.png", "2.png")
    rows = ["1.png,a cat", "b/1.png,a dog", "none.png,x", "https://example.com/2.png,x", ",x", "2.png,a fox, red"]
    (tmp_path / "t.csv").write_text("image,caption\n" + "\n".join(rows))
    found = find(tmp_path)
    assert captions(found) == {"2.png": {"en": ("a fox",)}, "a/1.png": {}, "b/1.png": DOG}
    told = reasons(found)
    assert told["rows that may mean several pictures"] == 1
    assert told["rows whose picture isn't there"] == 1
    assert told["rows that name a web address: download the pictures first"] == 1
    assert told["rows that name no picture"] == 1
    assert told["rows with more fields than the header has, whose rest is dropped (a comma outside quotes?)"] == 1


def test_boxes_of_objects_are_no_captions(tmp_path):
    write(tmp_path, "a.png", "b.png")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.1 0.2 0.1 0.1\n")
    (tmp_path / "b.txt").write_text("3 apples")
    found = find(tmp_path)
    assert captions(found) == {"a.png": {}, "b.png": {"en": ("3 apples",)}}
    assert reasons(found)["text files of numbers, as of boxes, and not captions"] == 1


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("float.tif", 0.5),
        ("float.tif", 128.0),
        ("int.tif", 128),
        ("grey.jp2", 128),
        ("cmyk.jpg", 127),
        ("one.svg", 128),
    ],
)
def test_grey_is_grey_in_every_kind_of_file(tmp_path, name, level):
    file, top = tmp_path / name, 1.0 if level == 0.5 else 255
    if name.endswith("svg"):
        file.write_text(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10">'
            '<rect width="20" height="10" fill="#808080"/></svg>'
        )
    elif name.startswith("cmyk"):
        Image.new("CMYK", (32, 32), (0, 0, 0, level)).save(file, quality=100)
    else:
        kind = np.uint8 if name.endswith("jp2") else np.float32 if "float" in name else np.int32
        levels = np.full((32, 32), level, kind)
        levels[:2] = top
        Image.fromarray(levels).save(file)
    assert abs(int(pixels(entry(file), 16)[12, 8, 1]) - 128) <= 3


def changes(picture: Image.Image, path: Path, aspect="crop", size=16, **options) -> set[str]:
    picture.save(path, **options)
    loaded, notes = load_picture(entry(path), size, aspect)
    assert loaded.shape == (size, size, 3)
    assert {note.kind for note in notes} <= {"changed"}
    return {note.reason.split(" (")[0] for note in notes}


def test_what_is_done_to_a_picture_is_said(tmp_path):
    path, small = tmp_path / "a.png", "enlarged, as smaller than 16 pixels"
    assert changes(Image.new("RGB", (32, 32)), path) == set()
    assert changes(Image.new("RGBA", (16, 16)).convert("RGB"), path) == set()
    assert changes(Image.new("RGB", (32, 20)), path) == {"cropped to the central square"}
    assert changes(Image.new("RGB", (90, 20)), path) == {"cropped to a central square of less than half the picture"}
    assert changes(Image.new("RGB", (90, 20)), path, "pad") == {"padded with white to a square"}
    assert changes(Image.new("RGB", (20, 15)), path) == {"cropped to the central square", small}
    assert changes(Image.new("RGB", (20, 15)), path, "pad") == {"padded with white to a square"}
    assert changes(Image.new("RGBA", (32, 32), (9, 9, 9, 255)), path) == set()
    assert changes(Image.new("RGBA", (32, 32), (9, 9, 9, 128)), path) == {"laid over white where transparent"}
    assert changes(Image.fromarray(np.full((32, 32), 999, np.uint16)), path) == {"scaled to 8 bits a channel"}
    assert changes(Image.new("CMYK", (32, 32)), tmp_path / "a.jpg") == {"colours converted to RGB"}
    frames = {"save_all": True, "append_images": [Image.new("RGB", (32, 32), "red")]}
    first = {"only the first frame of an animation or page of a document"}
    assert changes(Image.new("RGB", (32, 32)), tmp_path / "a.gif", **frames) == first


def test_formats_that_start_another_program_are_not_opened(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert load_picture(entry(tmp_path / "a.png"), 8)[1] == [Note("a.png", "it is not a picture")]
