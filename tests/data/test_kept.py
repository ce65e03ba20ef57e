import json
import shutil

import pytest
from fake_data import image
from PIL import Image

from lantu.data.build import build_folder
from lantu.data.contents import Entry, InFile
from lantu.data.folder import find_entries
from lantu.data.kept import split, usual_share
from lantu.data.shards import INDEX, Shards, read_index
from lantu.errors import DataError


def counts(folder):
    return {split: entry["count"] for split, entry in read_index(folder)["splits"].items()}


@pytest.mark.parametrize(("pictures", "kept"), [(3, 1), (12, 2), (40, 8), (100, 8), (160, 8), (1000, 50)])
def test_enough_pictures_are_kept_to_score_by(pictures, kept):
    assert round(usual_share(pictures) * pictures) == kept


def write(folder, count):
    folder.mkdir()
    for number in range(count):
        Image.fromarray(image(number, 16)).save(folder / f"{number:02}.png")
    return folder


def test_data_of_an_older_version_keeps_its_share(tmp_path):
    pictures = write(tmp_path / "in", 20)
    assert counts(build_folder(pictures, tmp_path / "new", 16, workers=1)) == {"train": 16, "val": 4}
    old = build_folder(pictures, tmp_path / "old", 16, 0.05, workers=1)
    digest = read_index(old)["digest"]
    assert counts(build_folder(pictures, old, 16, workers=1)) == {"train": 19, "val": 1}
    assert read_index(old)["digest"] == digest
    with pytest.raises(DataError, match=r"other settings \(val\)"):
        build_folder(pictures, old, 16, 0.5, workers=1)


def test_no_picture_is_learnt_of_which_a_copy_is_kept(tmp_path):
    pictures = write(tmp_path / "in", 10)
    for number in range(5):
        shutil.copy(pictures / f"{number:02}.png", pictures / f"copy-{number}.png")
    data = build_folder(pictures, tmp_path / "data", 16, 0.4, workers=1)
    train, val = (
        {shards.image(i).tobytes() for i in range(len(shards))}
        for shards in (Shards(data, "train"), Shards(data, "val"))
    )
    assert len(train | val) == 10
    assert not train & val
    assert counts(data) == {"train": 9, "val": 6}
    # Data of an older version, which didn't know of copies, stays as it is.
    index = read_index(data)
    del index["settings"]["copies"]
    (data / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match="other"):  # for here the digest says that they were kept together
        build_folder(pictures, data, 16, 0.4, workers=1)


def entries(tmp_path, groups):
    found, contents = [], {}
    for number, group in enumerate(groups):
        path = tmp_path / f"{number}.png"
        found.append(Entry(path.name, InFile(path), {}))
        contents[str(path)] = group
    return found, contents


@pytest.mark.parametrize(
    ("groups", "kept"), [("aaaaaaaaaaaaaaaaaaab", ["b"]), ("aaaaaaaaaabbbbbbbbbb", 1), ("aaaaaaaaaa", 1), ("a", 0)]
)
def test_a_share_smaller_than_the_copies_still_keeps_some(tmp_path, groups, kept):
    found, contents = entries(tmp_path, groups)
    made = split(found, 0.05, 0, contents)
    some = [contents[str(entry.content.path)] for entry in made["val"]]
    assert (some if isinstance(kept, list) else len(some)) == kept
    assert len(made["train"]) + len(made["val"]) == len(groups)


def test_what_lantu_wrote_into_a_folder_of_pictures_is_not_taken(tmp_path):
    pictures = write(tmp_path / "in", 3)
    for place, name, content in (
        ("runs/mine", "make.json", {"asked": {}, "commands": {}}),
        ("models/mine", "model_index.json", {"_class_name": "lantu.Model"}),
        ("run", "config.json", {"loop": {}, "data": "x"}),
    ):
        (pictures / place / "samples").mkdir(parents=True)
        (pictures / place / name).write_text(json.dumps(content))
        Image.fromarray(image(0, 16)).save(pictures / place / "samples" / "1.png")
    (pictures / "theirs").mkdir()
    (pictures / "theirs" / "config.json").write_text('{"loop": true}')
    Image.fromarray(image(9, 16)).save(pictures / "theirs" / "a.png")
    found = find_entries(pictures, captions=True, suspicious=False)
    assert [entry.key for entry in found.entries] == ["00.png", "01.png", "02.png", "theirs/a.png"]
    assert {"training runs", "models", "what lantu make keeps of a model"} <= {note.reason for note in found.notes}
