"""``lantu compare --debug``: everything, in sizes of seconds; killed on the way; and its parts on untrained models."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lantu import kernels, load
from lantu.errors import DiskError
from lantu.files import locked
from lantu.kernels import plain
from lantu.kernels.shapes import Segment, Shape
from lantu.recipes import train
from lantu.recipes.compare import comparing, page, systems, training, work
from lantu.recipes.compare.generators import KeptGenerator
from lantu.recipes.compare.operations import Count, operations
from lantu.recipes.compare.planning import Asked, Training
from lantu.training.checkpoint import BEFORE_DECAY

FIGURES = ("parameters", "training_flops", "score", "frechet", "variety", "captioning", "editing", "interleaving")
QUIET = ["loop.sample_every=0", "loop.validate_every=0", "loop.log_every=1"]


def call(data, out, *more):
    return [sys.executable, "-m", "lantu", "compare", "--debug", "--data", str(data), "-o", str(out), "--json", *more]


@pytest.mark.slow
def test_all_systems_though_it_is_killed_on_the_way(scene_data, tmp_path):
    out = tmp_path / "comparison"
    first = subprocess.Popen(call(scene_data, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 900
    while len(list(out.glob("runs/*/model"))) < 5:
        assert first.poll() is None, first.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    done = json.loads((out / "compare.json").read_text())["done"]
    result = subprocess.run(call(scene_data, out), capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stderr
    table = json.loads(result.stdout)
    assert tuple(table) == (*systems.USUAL, "comparison")
    assert all(entry in one for one in table.values() if "rule" not in one for entry in FIGURES)
    after = json.loads((out / "compare.json").read_text())["done"]
    assert all(after[name] == value for name, value in done.items())  # nothing was done twice
    check_page(out / "report" / "index.html", table)
    again = subprocess.run(call(scene_data, out), capture_output=True, text=True, timeout=300)
    assert {**json.loads(again.stdout), "comparison": 0} == {**table, "comparison": 0}


def check_page(page, table):
    """It names all systems and refers to nothing but pictures that lie beside it."""
    text = page.read_text()
    assert all(name in text for name in table if name != "comparison")
    sources = re.findall(r"src=([^\s>]+)", text)
    assert len(sources) > 2 * len(table)
    assert all((page.parent / source).stat().st_size for source in sources)
    assert not re.search(r"https?://|<script|<link", text)
    assert table["comparison"]["rule"]["broken"]  # of debug sizes: and the page says so
    assert "breaks it" in text
    assert "true pictures</b>" in text
    assert all(
        set(one["recognisable"]) == {"holds", "share", "flops", "needed"} for one in table.values() if "score" in one
    )


@pytest.mark.slow
def test_a_loaded_model_is_compared_and_flagged(scene_data, tiny_model, tmp_path):
    more = ["--systems", "lantu", "--load", f"lantu={tiny_model}", "--jobs", "1"]
    result = subprocess.run(call(scene_data, tmp_path / "out", *more), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    table = json.loads(result.stdout)
    one, broken = table["lantu"], {each["rule"] for each in table["comparison"]["rule"]["broken"]}
    assert {"operations", "data", "prompts", "seeds", "rates", "levels"} <= broken
    assert one["picture"]["sequence"] == 16
    assert one["picture"]["flops"] > 0
    assert 0 <= one["editing"]["value"] <= 1  # it has learnt filling
    check_page(tmp_path / "out" / "report" / "index.html", table)


def test_mistakes_are_one_line(lantu, captioned_data, tmp_path):
    (tmp_path / "other").mkdir()
    kept = {"asked": {"budget": 1.0}, "commands": {}, "done": {}, "seconds": {}}
    (tmp_path / "other" / "compare.json").write_text(json.dumps(kept))
    for words, text in (
        (["--rates", "a", "-o", tmp_path / "out"], "--rates can't be"),
        (["--rates", "1,nan", "-o", tmp_path / "out"], "--rates can't be"),
        (["--levels", "1,1.5", "-o", tmp_path / "out"], "--levels can't be '1,1.5'"),
        (["--load", "lantu", "-o", tmp_path / "out"], "--load can't be"),
        (["--load", "lantu=a", "--load", "lantu=b", "-o", tmp_path / "out"], "--load names a system twice"),
        (["--systems", "clip", "-o", tmp_path / "out"], "no system called clip"),
        ([], "a comparison needs a folder"),
        (["-o", tmp_path / "other"], "another budget (1.0)"),
        (["--data", captioned_data, "-o", tmp_path / "out"], "doesn't say what its pictures show"),
    ):
        code, out, err = lantu("compare", *words)
        assert (code, out) == (2, "")
        assert text in err


@pytest.fixture
def recorded(monkeypatch):
    """The names of the steps that a comparison does; nothing is computed."""
    steps = []

    def run(ledger, wanted, tell, cores, threads):
        todo = [step.name for step in wanted if step.name not in ledger.done]
        steps.extend(todo)
        ledger.done.update({name: {} for name in todo})
        ledger.save()

    monkeypatch.setattr(work, "run", run)
    monkeypatch.setattr(page, "write", lambda folder, result: folder)
    return steps


def test_another_model_that_is_loaded_is_scored_anew(recorded, scene_data, tiny_model, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps(index | {"draw": {"steps": 3}}))
    said = []
    for model in (tiny_model, other, other):
        loaded = {"lantu": str(model)}
        comparing.compare(Asked(str(scene_data), 1e10, ("lantu",), loaded=loaded), tmp_path / "out", print)
        said.append([name.partition("-")[0] for name in recorded])
        recorded.clear()
    assert said == [["count", "score", "abilities", "speed"], ["score", "abilities", "speed"], []]


def test_two_calls_at_once_do_nothing_twice(recorded, monkeypatch, scene_data, tiny_model, tmp_path):
    one = Asked(str(scene_data), 1e10, ("lantu",), loaded={"lantu": str(tiny_model)})

    @contextlib.contextmanager
    def late(path, wait):
        monkeypatch.setattr(comparing, "locked", locked)
        comparing.compare(one, tmp_path / "out", print)  # another call, which ends before this one has the lock
        recorded.clear()
        yield

    monkeypatch.setattr(comparing, "locked", late)
    comparing.compare(one, tmp_path / "out", print)
    assert recorded == []
    with locked(tmp_path / "out" / "lock"), pytest.raises(DiskError, match="another process works in"):
        comparing.compare(one, tmp_path / "out", print)


@pytest.mark.parametrize("name", ["table.json", "report/index.html", "models/mine/model_index.json"])
def test_files_of_others_are_not_overwritten(recorded, scene_data, tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(DiskError, match="other files"):
        comparing.compare(Asked(str(scene_data), 1e10, ("lantu",)), tmp_path, print)
    assert [path.name for path in tmp_path.iterdir()] == [name.partition("/")[0]]


def test_a_longer_run_that_goes_on_is_one_from_the_start(captioned_data, tmp_path):
    overrides = (*QUIET, "loop.warmup_steps=1")
    short = Training("short", "rival", "pixel-ar-debug", (*overrides, "loop.steps=6"), {}, "", 6, 1.0, True)
    long = Training("long", "rival", "pixel-ar-debug", (*overrides, "loop.steps=10"), {}, "short", 10, 1.0)
    facts = training.run_training(tmp_path, short, str(captioned_data), "cpu")
    assert (facts["steps"], facts["diverged"]) == (6, "")
    assert [step for step, *_ in facts["norms"]] == list(range(1, 7))
    assert (tmp_path / "runs" / "short" / "checkpoints" / BEFORE_DECAY).is_dir()
    assert training.run_training(tmp_path, short, str(captioned_data), "cpu") == facts  # nothing is trained again
    training.run_training(tmp_path, long, str(captioned_data), "cpu")
    alone = tmp_path / "alone"
    train("rival", "pixel-ar-debug", captioned_data, alone, long.overrides, device="cpu", progress=False)
    grown, whole = (sorted((run / "model").rglob("*.safetensors")) for run in (tmp_path / "runs" / "long", alone))
    assert [path.read_bytes() for path in grown] == [path.read_bytes() for path in whole]


def test_a_run_that_diverges_says_so_and_what_is_made_of_it_too(captioned_data, tmp_path):
    lost = Training("lost", "rival", "pixel-ar-debug", (*QUIET, "loop.steps=3"), {"tokenizer": "gone"}, "", 3, 1.0)
    assert "gone came to nothing" in training.run_training(tmp_path, lost, str(captioned_data), "cpu")["diverged"]
    run = tmp_path / "runs" / "wild"
    run.mkdir(parents=True)
    losses = [3.0, 2.0, *[1.0] * 10, 9.0, 1.0, 1.0, *[9.0] * 10]
    lines = [{"step": step, "loss": loss, "skipped": 0} for step, loss in enumerate(losses, 1)]
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    wild = Training("wild", "rival", "pixel-ar-debug", ("loop.warmup_steps=0",), {}, "", 25, 1.0)
    assert "risen" in training.diverged(run, wild)
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, lines[:18])))
    assert training.diverged(run, wild) == ""  # one line is noise
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, lines[8:])))
    assert training.diverged(run, wild) == ""  # and so few lines are, too
    (run / "log.jsonl").write_text(json.dumps({"step": 1, "loss": None, "skipped": 1}))
    assert "no finite gradient" in training.diverged(run, wild)


def test_operations_of_kernels_and_torch_are_counted():
    first, second, rows_TD = torch.zeros(8, 16), torch.zeros(16, 4), np.zeros((8, 16), np.float32)
    assert operations(lambda: first @ second) == 2 * 8 * 16 * 4
    linear = kernels.linear(np.zeros((4, 16), np.float32), precise=True)
    assert operations(lambda: linear(rows_TD)) == 2 * 8 * 16 * 4
    shape, count = Shape(layers=2, width=32, heads=2, key_value_heads=2, head_width=16, inner=48), Count()
    cache = plain.TransformerStack(shape, []).cache(8)
    count.forward(shape, 3, [Segment(cache, 3)])
    assert count.total == 2 * (2 * 3 * (4 * 32 * 32 + 3 * 32 * 48) + 4 * 32 * 6)
    assert operations(lambda: None) == 0


def test_nothing_is_drawn_twice(tiny_model, tmp_path):
    model = load(tiny_model, "cpu")
    kept = KeptGenerator(model, tmp_path)
    drawn = kept.draw(["a cat", "a dog"], [0, 1])
    model.draw_all = None  # asked once more, it would fail
    assert np.array_equal(kept.draw(["a dog", "a cat"], [1, 0]), drawn[::-1])
    assert len(os.listdir(tmp_path / model.digest)) == 2


def test_a_prompt_that_is_refused_is_a_white_picture(tiny_model, tmp_path):
    kept = KeptGenerator(load(tiny_model, "cpu"), tmp_path)
    drawn = kept.draw(["a cat", "a " * 1500], [0, 1])
    assert (drawn[1] == 255).all()
    assert not (drawn[0] == 255).all()
