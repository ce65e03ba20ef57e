"""The pieces of ``lantu make``, and the whole of it on a few pictures (slow)."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from lantu.data.build import build_folder
from lantu.errors import LantuError, RecipeError
from lantu.recipes.make import curves, plan, stages
from lantu.recipes.make.look import Look, look
from lantu.recipes.make.stages import Ledger

PHOTOS = Look(train=3000, val=100, size=64, captioned=3000, languages={"en": 3000}, plain=0.2)
DRAWINGS = Look(train=300, val=10, size=64, captioned=0, languages={"fr": 10}, plain=0.8)


def pictures(folder, count=24, noisy=False, captions=True):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = ["file,caption,caption_zh"]
    for number in range(count):
        pixels = np.full((48, 48, 3), 255, np.uint8)
        pixels[8:40, 8:40] = [(220, 30, 30), (30, 30, 220)][number % 2]
        if noisy:
            pixels = rng.integers(0, 255, pixels.shape).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,a {['red', 'blue'][number % 2]} box,{'红蓝'[number % 2]}盒子")
    if captions:
        (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_photographs_and_drawings_are_told_apart(tmp_path):
    found = [
        look(build_folder(pictures(tmp_path / name, noisy=noisy), tmp_path / f"{name}-data", 32, workers=1))
        for name, noisy in (("drawn", False), ("noisy", True))
    ]
    assert [one.photographs for one in found] == [False, True]
    assert found[0].captioned == found[0].train == 23
    assert found[0].languages == {"en": 23, "zh": 23}
    text = " ".join(found[0].lines())
    assert "drawings" in text
    assert "few" in text


def test_what_cannot_be_learnt_is_said():
    text = " ".join(DRAWINGS.lines())
    assert "whatever the prompt says" in text
    assert "captions in fr are passed over" in text
    assert " ".join(PHOTOS.lines()).count("passed over") == 0
    some = Look(train=1000, val=0, size=64, captioned=100, languages={"en": 100}, plain=0.2)
    assert "only 100 pictures have captions" in " ".join(some.lines())
    assert "no picture is kept for validation" in " ".join(some.lines())


def test_the_time_is_split_and_steps_follow_the_measured_rate(tmp_path):
    both, alone = plan.Budget.of(3600, 2), plan.Budget.of(3600, 1)
    assert both.side_by_side
    assert both.language == both.decoder
    assert both.tokenizer + both.language < 3600
    assert alone.tokenizer + alone.language + alone.decoder < 3600
    asked = []

    def measure(command):
        asked.append(command)
        return {"step_s": 0.5}

    command = plan.trained("tokenizer", PHOTOS, tmp_path, "cpu", 1150.0, measure)
    assert asked == [command[: len(asked[0])]]
    assert command[2:4] == ["--recipe", "anywhere"]
    settings = dict(word.split("=", 1) for word in command if "=" in word)
    assert settings["loop.steps"] == "2000"
    assert settings["encoder_from"] == "500"
    assert settings["model.size"] == "64"
    drawn = plan.trained("tokenizer", DRAWINGS, tmp_path, "cpu", 1.0, measure)
    assert drawn[2:4] == ["--recipe", "emoji"]
    assert f"loop.steps={plan.FEWEST}" in drawn
    language = plan.trained("language", DRAWINGS, tmp_path, "cpu", 100.0, measure)
    assert ["--tokenizer", str(tmp_path / "tokenizer")] == language[language.index("--tokenizer") :][:2]


def test_a_ledger_goes_on_only_with_the_same_call(tmp_path):
    ledger = Ledger.open(tmp_path, {"size": 64, "minutes": 1})
    ledger.commands["data"] = ["data"]
    ledger.seconds |= {"data": 1.0, "language": 5.0, "decoder": 7.0}
    ledger.save()
    assert Ledger.open(tmp_path, {"size": 64, "minutes": 1}).spent_s == 8.0
    with pytest.raises(RecipeError, match="another size \\(64\\)"):
        Ledger.open(tmp_path, {"size": 32, "minutes": 1})
    (tmp_path / stages.LEDGER).write_text("{")
    with pytest.raises(RecipeError, match="can't be read"):
        Ledger.open(tmp_path, {"size": 64, "minutes": 1})


def test_a_refused_stage_stops_with_its_own_message_and_a_done_one_is_not_repeated(tmp_path):
    ledger = Ledger(tmp_path, {})
    ledger.commands |= {"models": ["models"], "data": ["data", "inspect", str(tmp_path / "none")]}
    stages.run(ledger, ["models"], lambda *_: None, 1)
    assert ledger.done["models"]["families"]
    (tmp_path / "logs" / "models.json").unlink()
    stages.run(ledger, ["models"], lambda *_: None, 1)
    assert not (tmp_path / "logs" / "models.json").exists()
    with pytest.raises(LantuError, match="none"):
        stages.run(ledger, ["data"], lambda *_: None, 1)


def test_what_twice_the_time_would_buy_follows_a_power_law(tmp_path):
    def write(name, losses):
        (tmp_path / name).mkdir()
        lines = [json.dumps({"step": step, "loss": 1.0, "val_loss": loss}) for step, loss in losses]
        (tmp_path / name / "log.jsonl").write_text("\n".join(lines))
        return tmp_path / name

    falling = write("falling", [(step, step**-0.5) for step in (100, 200, 400, 800, 1600)])
    assert curves.at_twice(falling) == pytest.approx(3200**-0.5)
    assert curves.at_twice(write("short", [(100, 1.0), (200, 0.9)])) is None
    assert curves.at_twice(write("rising", [(1, 1.0), (2, 0.5), (3, 0.6), (4, 0.7)])) is None


def call(folder, *more):
    words = ["make", str(folder / "in"), "-o", str(folder / "model"), "--work", str(folder / "work"), "--size", "32"]
    return [sys.executable, "-m", "lantu", *words, "--minutes", "1", *more]


@pytest.mark.slow
def test_pictures_become_a_model_with_a_report_though_it_is_killed_on_the_way(tmp_path):
    pictures(tmp_path / "in")
    first = subprocess.Popen(call(tmp_path))
    deadline = time.monotonic() + 300
    while not (tmp_path / "work" / "tokenizer" / "log.jsonl").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    result = subprocess.run(call(tmp_path, "--json"), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    page = (tmp_path / "work" / "report" / "index.html").read_text()
    assert facts["report"] == str(tmp_path / "work" / "report" / "index.html")
    assert page.count("<figure>") % 5 == 0
    assert "lantu train tokenizer" in page
    assert "reconstruction" in page
    assert all((tmp_path / "work" / "report" / name).stat().st_size for name in ("curves.png", "round_trips.png"))
    drawn = ["draw", "a red box", "--model", str(tmp_path / "model"), "-o", str(tmp_path / "out.png")]
    assert subprocess.run([sys.executable, "-m", "lantu", *drawn]).returncode == 0
    again = subprocess.run(call(tmp_path, "--json"), capture_output=True, text=True, timeout=120)
    assert json.loads(again.stdout)["digest"] == facts["digest"]
    other = subprocess.run(call(tmp_path, "--seed", "3"), capture_output=True, text=True)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "another seed" in other.stderr


@pytest.mark.slow
def test_pictures_without_captions_become_a_model_too(tmp_path):
    pictures(tmp_path / "in", captions=False)
    result = subprocess.run(call(tmp_path), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert "whatever the prompt says" in result.stderr
    assert os.path.exists(tmp_path / "model" / "model_index.json")


def test_mistakes_are_one_line(tmp_path):
    for words in (["--size", "33"], ["--minutes", "0"]):
        result = subprocess.run([*call(tmp_path), *words], capture_output=True, text=True)
        assert result.returncode == 2, words
    missing = subprocess.run(call(tmp_path), capture_output=True, text=True)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


def test_a_folder_of_other_things_is_refused_before_training(tmp_path):
    pictures(tmp_path / "in")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    result = subprocess.run(call(tmp_path), capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "mine.txt" in result.stderr
    assert not (tmp_path / "work").exists()
