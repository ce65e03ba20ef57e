import numpy as np
from fake_data import make_data
from PIL import Image

from lantu.data.build import build_folder
from lantu.data.inspect import contact_sheet, inspect
from lantu.data.shards import Shards, read_index, write_index


def test_everything_is_counted(data):
    seen = []
    report = inspect(data, progress=lambda done, total: seen.append((done, total)))
    assert list(report["splits"]) == ["train", "val"]
    assert report["size"] == 8
    assert seen == [(13, 13)]
    assert report["splits"]["train"] == {
        "pictures": 10,
        "kinds": {"single": 5, "scene": 5},
        "objects": {"1": 10},
        "styles": {"noto": 10},
        "backgrounds": {"white": 10},
        "concepts": 1,
        "uncaptioned": 0,
        "captions": {
            "en": {"pictures": 10, "captions": 20, "characters": {"least": 5, "median": 5.0, "most": 5}},
            "zh": {"pictures": 10, "captions": 10, "characters": {"least": 2, "median": 2.0, "most": 2}},
        },
    }


def test_lengths_in_ids_are_told_when_a_tokenizer_is_given(data):
    captions = inspect(data, encode_text=lambda text: list(text.encode()))["splits"]["val"]["captions"]
    assert captions["zh"]["ids"] == {"least": 4, "median": 4.0, "most": 4}


def test_captions_of_a_sheet_stand_below_tall_and_wide_pictures(tmp_path):
    (tmp_path / "in").mkdir()
    for number, size in enumerate([(64, 96)] * 6 + [(96, 64)] * 6):
        Image.effect_noise(size, 80).convert("RGB").save(tmp_path / "in" / f"{number}.png")
        (tmp_path / "in" / f"{number}.txt").write_text("a long caption of several words in every line of it\n")
    data = build_folder(tmp_path / "in", tmp_path / "data", size=128, aspect="keep", val=0, workers=1)
    contact_sheet(data, tmp_path / "sheet.png", rows=2, columns=6)
    shards, sheet = Shards(data, "train"), np.asarray(Image.open(tmp_path / "sheet.png"))
    high, wide = shards.shapes.max(0).tolist()
    assert high > 128 < wide
    for place in range(12):
        picture, top, left = shards.image(place), 8 + place // 6 * (high + 3 * 14 + 8), 8 + place % 6 * (wide + 8)
        assert np.array_equal(sheet[top : top + len(picture), left : left + picture.shape[1]], picture)


def test_a_sheet_shows_pictures_spread_over_the_split_above_their_captions(tmp_path):
    folder = make_data(tmp_path / "data", size=96, train=9)
    contact_sheet(folder, tmp_path / "sheet.png", rows=2, columns=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    corners = [(8, 8), (8, 112), (154, 8), (154, 112)]
    assert [int(sheet[corner][0]) for corner in corners] == [0, 2, 5, 8]
    assert sheet[104:120, 8:104].min() < 100, "there is no caption"


def test_a_sheet_of_no_pictures_is_empty(tmp_path):
    contact_sheet(make_data(tmp_path / "data", train=1, val=0), tmp_path / "sheet.png", "val")
    assert Image.open(tmp_path / "sheet.png").getextrema() == ((232, 232), (232, 232), (232, 232))


def test_the_account_of_what_was_left_out_is_told_also_of_older_data(data):
    index = read_index(data)
    write_index(data, index | {"skipped": [{"file": "a.png", "reason": "torn"}, {"file": "b.png", "reason": "torn"}]})
    told = [{"kind": "left out", "reason": "torn", "count": 2, "files": ["a.png", "b.png"]}]
    assert inspect(data)["account"] == told
