"""``lantu data caption``: what is written, that data are built of it, that a stopped run goes on, what is refused."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from lantu.data.shards import Shards
from lantu.pipeline import Model
from lantu.recipes.bulk.captioner import Captioner, as_json, captioning, order_as_json
from lantu.recipes.bulk.captioning import CaptionRun


def noise(path, size=(32, 32), seed=0):
    path.parent.mkdir(exist_ok=True)
    width, height = size
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(path)


@pytest.fixture
def pictures(tmp_path):
    """Some that have captions, some that don't, and one that can't be read."""
    folder = tmp_path / "pictures"
    for number in range(5):
        noise(folder / f"{number}.png", seed=number)
    noise(folder / "deep/wide.jpg", (60, 40))
    (folder / "3.txt").write_text("a dog\n")
    (folder / "4.txt").write_text("一只狗\n")
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("about my pictures\n")
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def captions_of(folder, split="train"):
    shards = Shards(folder, split)
    return {sample.key: sample.captions for sample in map(shards.sample, range(len(shards)))}


def test_each_caption_is_the_one_of_lantu_caption(lantu, tmp_path, pictures):
    assert lantu("draw", "a cat", "--seed", 1, "-o", pictures / "drawn.png")[0] == 0
    out = pictures / "captions.jsonl"
    code, told, err = lantu("data", "caption", "pictures", "-o", out, "--lang", "both", "--together", 3, "--json")
    assert (code, err) == (0, "")
    told = json.loads(told)
    found = {row["file"]: row for row in rows(out)}
    assert list(found) == ["0.png", "1.png", "2.png", "3.png", "4.png", "deep/wide.jpg", "drawn.png", "torn.png"]
    assert found["torn.png"]["left_out"] == "can't read it as a picture"
    assert "caption_en" not in found["3.png"]
    assert "caption_zh" not in found["4.png"]
    for name, row in found.items():
        written = {key.removeprefix("caption_"): text for key, text in row.items() if key.startswith("caption_")}
        for language, text in written.items():
            command = ("caption", pictures / name, "--lang", language, "--fit", "--json")
            assert json.loads(lantu(*command)[1])["caption"] == text
        assert row["model"] == f"tiny {Model.load('tiny').digest}"
    counts = {
        language: sum(bool(row.get(f"caption_{language}")) for row in found.values()) for language in ("en", "zh")
    }
    assert told["captions"] == counts
    assert min(counts.values()) >= 4
    assert (told["pictures"], told["captioned"]) == (8, 8)
    account = {(group["kind"], group["reason"]): (group["count"], group["files"]) for group in told["account"]}
    assert account["left out", "can't read it as a picture"] == (1, ["torn.png"])
    assert sum(count for (kind, _), (count, _) in account.items() if kind == "left out") == 1 + 14 - 2 - sum(
        counts.values()
    )


@pytest.mark.parametrize("place", ["pictures/captions.jsonl", "captions.jsonl", "elsewhere/said.jsonl"])
def test_data_are_built_with_the_captions(lantu, tmp_path, pictures, place):
    assert lantu("data", "caption", "pictures", "-o", place)[0] == 0
    source = "pictures" if place.endswith("captions.jsonl") else place
    code, out, err = lantu("data", "build", "folder", source, "-o", "data", "--size", 32, "--val", 0, "--json")
    assert code == 0, err
    whole = source == "pictures"
    assert json.loads(out)["pictures"] == {"train": 6 if whole else 5}
    found = {key.rpartition("/pictures/")[2]: captions for key, captions in captions_of(tmp_path / "data").items()}
    for row in rows(tmp_path / place):
        name = row["file"].rpartition("/pictures/")[2].removeprefix("pictures/")
        if text := row.get("caption_en"):
            assert found.pop(name)["en"] == (text,)
    assert whole or all(not captions for captions in found.values())
    assert not whole or found.pop("3.png") == {"en": ("a dog",)}


def test_pictures_in_tars_and_tables_are_captioned(lantu, tmp_path, pictures):
    """Data that lantu has built without captions, and parquet that holds pictures: their keys name them."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    assert lantu("data", "build", "folder", "pictures", "-o", "data", "--size", 32, "--no-captions")[0] == 0
    cells = [(pictures / f"{number}.png").read_bytes() for number in (0, 1)]
    parquet.write_table(pyarrow.table({"image": cells}), tmp_path / "data/zoo.parquet")
    code, _, err = lantu("data", "caption", "data", "-o", "data/captions.jsonl")
    assert code == 0, err
    found = rows(tmp_path / "data/captions.jsonl")
    assert [row["file"] for row in found] == [
        *(f"train-00000.tar/{number:07d}" for number in range(5)),
        *("val-00000.tar/0000000", "zoo.parquet row 1", "zoo.parquet row 2"),
    ]
    code, _, err = lantu("data", "build", "folder", "data", "-o", "again", "--size", 32, "--val", 0)
    assert code == 0, err
    captions = {row["file"]: row["caption_en"] for row in found}
    assert any(captions.values())
    assert captions_of(tmp_path / "again") == {name: {"en": (text,)} if text else {} for name, text in captions.items()}


def test_a_stopped_run_goes_on(lantu, tmp_path, pictures, monkeypatch):
    command = ("data", "caption", "pictures", "--together", 2)
    assert lantu(*command, "-o", "whole.jsonl")[0] == 0
    captioned, made = Captioner.rows, []

    def stopping(self, group):
        if len(made) in stops:
            stops.remove(len(made))
            raise KeyboardInterrupt
        made.append([one.name.removeprefix("pictures/") for one in group])
        return captioned(self, group)

    monkeypatch.setattr(Captioner, "rows", stopping)
    stops = {0, 1, 2}
    part = tmp_path / "out.jsonl.part"
    for expected in (0, 2, 4):
        assert lantu(*command, "-o", "out.jsonl")[0] == 130
        assert len(rows(part)) == expected
        with part.open("a") as file:
            file.write('{"file": "pict')  # half a row
        assert not (tmp_path / "out.jsonl").exists()
    code, out, _ = lantu(*command, "-o", "out.jsonl")
    assert code == 0
    assert "of 6 pictures, 4 of them earlier" in out
    assert made == [["0.png", "1.png"], ["2.png", "4.png"], ["deep/wide.jpg", "torn.png"]]
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not part.exists()
    code, out, err = lantu(*command, "-o", "out.jsonl")  # nothing is left to do, and all is told again
    assert (code, len(made)) == (0, 3)
    assert "6 pictures, 6 of them earlier" in out
    assert "can't read it as a picture: pictures/torn.png" in err


def test_a_killed_process_goes_on(lantu, tmp_path, tiny_model):
    for number in range(40):
        noise(tmp_path / f"many/{number:02}.png", seed=number)
    options = ("many", "--together", "1", "--model", str(tiny_model))
    command = [sys.executable, "-m", "lantu", "data", "caption", *options, "-o", "out.jsonl"]
    process, part = subprocess.Popen(command), tmp_path / "out.jsonl.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = part.read_bytes()
    code, out, err = lantu("data", "caption", *options, "-o", "out.jsonl", "--json")
    assert code == 0, err
    assert 0 < json.loads(out)["captioned"] < 40
    assert lantu("data", "caption", *options, "-o", "whole.jsonl")[0] == 0
    after = (tmp_path / "out.jsonl").read_bytes()
    assert after == (tmp_path / "whole.jsonl").read_bytes()
    assert after.startswith(before[: before.rindex(b"\n") + 1])


def test_sampled_captions_have_seeds(lantu, tmp_path, pictures):
    command = ("data", "caption", "pictures", "--again", "--temperature", 1)
    assert lantu(*command, "-o", "out.jsonl", "--seed", 5)[0] == 0
    found = rows(tmp_path / "out.jsonl")
    assert len({row["seed"] for row in found}) == len(found) == 7
    for row in found[:3]:
        how = ("--fit", "--temperature", row["temperature"], "--seed", row["seed"])
        assert lantu("caption", row["file"], *how)[1] == row["caption_en"] + "\n"
    shutil.copy(tmp_path / "out.jsonl", tmp_path / "same.jsonl.part")
    assert lantu(*command, "-o", "same.jsonl")[0] == 0  # without the seed: it is that of the run
    assert rows(tmp_path / "same.jsonl") == found
    assert "other things" in lantu(*command, "-o", "out.jsonl", "--seed", 6)[2]


def test_nothing_is_written_over(lantu, tmp_path, pictures, remembering_model):
    command = ("data", "caption", "pictures", "-o", "out.jsonl")
    assert lantu(*command)[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    for more in (("--lang", "zh"), ("--again",), ("--temperature", 1), ("--model", remembering_model)):
        code, _, err = lantu(*command, *more)
        assert code == 2
        assert "out.jsonl holds other things than these captions: choose another file" in err
    noise(pictures / "z.png")
    assert "lacks captions of some pictures" in lantu(*command)[2]
    assert (tmp_path / "out.jsonl").read_bytes() == before
    for name, text in (("mine.jsonl", '{"file": "a.png", "caption": "a cat"}\n'), ("own.jsonl.part", "a novel")):
        (tmp_path / name).write_text(text)
        assert "holds other things" in lantu("data", "caption", "pictures", "-o", name.removesuffix(".part"))[2]
        assert (tmp_path / name).read_text() == text
    assert not (tmp_path / "own.jsonl").exists()


def test_what_cannot_be_captioned_is_one_line(lantu, tmp_path, pictures, tiny_model):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one").mkdir()
    shutil.copy(pictures / "3.png", tmp_path / "one")
    shutil.copy(pictures / "3.txt", tmp_path / "one")
    for arguments, told in (
        (("pictures", "-o", "out.csv"), "call it captions.jsonl"),
        (("none", "-o", "out.jsonl"), "there is no"),
        (("empty", "-o", "out.jsonl"), "no pictures in"),
        (("one", "-o", "out.jsonl"), "caption them again: --again"),
        (("pictures", "-o", "out.jsonl", "--workers", 2), "add --ray"),
    ):
        code, out, err = lantu("data", "caption", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err
    assert not list(tmp_path.glob("out.*"))


def test_what_travels_between_machines_is_enough(tmp_path, pictures, tiny_model):
    """A worker that is told JSON writes the same rows."""
    model = Model.load(tiny_model)
    run = CaptionRun(model, pictures, tmp_path / "out.jsonl", ("en", "zh"), temperature=0.5, seed=3)
    told = json.loads(json.dumps([order_as_json(run.order), [[as_json(one) for one in run.wanted]]]))
    assert json.loads(captioning(told[0])(told[1])) == Captioner(run.order, model).rows(run.wanted)
    other = told[0] | {"model": [told[0]["model"][0], "0" * 16]}
    with pytest.raises(Exception, match="is another model on a worker"):
        captioning(other)(told[1])
