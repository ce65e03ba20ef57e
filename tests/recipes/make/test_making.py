"""The pieces of ``lantu make``, and the whole of it on a few pictures (slow)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lantu.cli import main
from lantu.commands.make import Bars, importing, progress
from lantu.data.build import build_folder
from lantu.errors import DiskError, LantuError, RecipeError
from lantu.files import locked
from lantu.models.lantu.upscaler.config import UpscalerConfig
from lantu.models.lantu.upscaler.network import Upscaler
from lantu.pipeline import Model
from lantu.recipes.make import curves, plan, stages
from lantu.recipes.make.look import Look, look
from lantu.recipes.make.making import Making, Wanted, make
from lantu.recipes.make.places import changes, check_moved, check_new
from lantu.recipes.make.plan import Sources
from lantu.recipes.make.report import learning
from lantu.recipes.make.stages import Ledger
from lantu.recipes.make.timing import Time, dry_runs, facts_of
from lantu.recipes.make.training import Training
from lantu.recipes.rehearsal import square_of

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
    assert found[0].captioned == found[0].train == 19
    assert found[0].languages == {"en": 19, "zh": 19}
    text = " ".join(found[0].lines())
    assert "drawings" in text
    assert found[0].account[0].endswith("captions from tables: captions.csv")
    assert not any("pictures with captions in" in line for line in found[0].account)
    assert "few" in text


def test_copies_are_no_more_pictures(tmp_path):
    folder = pictures(tmp_path / "in", count=6, noisy=True)
    found = look(build_folder(folder, tmp_path / "data", 32, workers=1, flips=True, crops=1))
    assert (found.train, found.different, found.val) == (20, 5, 1)
    assert "5 pictures and 15 mirrored or cropped copies to learn from, 1 kept" in " ".join(found.lines())
    many = replace(PHOTOS, train=3000, copies=2500)
    assert set_by(plan.command_of("tokenizer", many, tmp_path, "cpu"))["model.codebook_size"] == "1024"


def test_what_was_left_out_is_said(tmp_path):
    folder = pictures(tmp_path / "in", count=6)
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "film.mov").write_bytes(b"0")
    Image.new("RGB", (48, 130)).save(folder / "tall.png")
    text = "\n".join(look(build_folder(folder, tmp_path / "data", 32, workers=1)).account)
    assert "no decoder for .mov here: convert it to PNG, JPEG or WebP: film.mov" in text
    assert "it can't be decoded (" in text
    assert "copy or download it again: broken.png" in text
    assert "cropped to a central square of less than half the picture (--aspect pad keeps all of it): tall.png" in text


def test_what_cannot_be_learnt_is_said():
    text = " ".join(DRAWINGS.lines())
    assert "whatever the prompt says" in text
    assert "captions in fr teach drawing alone" in text
    assert " ".join(PHOTOS.lines()).count("drawing alone") == 0
    some = Look(train=1000, val=0, size=64, captioned=100, languages={"en": 100}, plain=0.2)
    assert "only 100 pictures have captions" in " ".join(some.lines())
    assert "no picture is kept for validation" in " ".join(some.lines())


def facts(step_s=0.5, wall_s=23.5, batch=16, memory=10**8):
    return {"step_s": step_s, "wall_s": wall_s, "samples_per_step": batch, "memory_bytes": memory, "device": "cpu"}


def set_by(command):
    return dict(word.split("=", 1) for word in command if "=" in word)


def test_steps_follow_the_measured_rate(tmp_path):
    bare = plan.command_of("tokenizer", PHOTOS, tmp_path, "cpu")
    assert bare[2:4] == ["--recipe", "convolutions"]
    command = plan.trained("tokenizer", bare, tmp_path, 1170.0, facts())  # of which 20 are over before the first step
    settings = set_by(command)
    assert command[: len(bare)] == bare
    assert (settings["loop.steps"], settings["loop.minutes"]) == ("2000", "19.17")
    assert (settings["encoder_from"], settings["model.size"]) == ("500", "64")
    assert "loop.batch_size" not in settings
    drawn = plan.command_of("tokenizer", DRAWINGS, tmp_path, "cpu")
    assert drawn[2:4] == ["--recipe", "emoji"]
    hurried = set_by(plan.trained("tokenizer", drawn, tmp_path, 1.0, facts()))
    assert (hurried["loop.steps"], hurried["loop.batch_size"]) == (str(plan.FEWEST), "4")
    assert float(hurried["loop.minutes"]) == pytest.approx(plan.FEWEST * plan.BESIDE * 0.125 / 60, abs=0.01)
    language = plan.command_of("language", DRAWINGS, tmp_path, "cpu")
    assert ["--tokenizer", str(tmp_path / "tokenizer")] == language[language.index("--tokenizer") :][:2]


def test_what_is_there_already_is_not_trained_from_nothing(tmp_path):
    start = Sources(start="/models/mine")
    assert plan.groups(start, 2) == [["language", "decoder"]]
    assert plan.groups(start, 1) == [["language"], ["decoder"]]
    language = plan.command_of("language", DRAWINGS, tmp_path, "cpu", start)
    assert language[2:4] == ["--recipe", "finetune"]
    assert language[language.index("--start") + 1] == language[language.index("--tokenizer") + 1] == "/models/mine"
    assert set_by(language)["trained"] == "lora"
    assert set_by(plan.command_of("language", PHOTOS, tmp_path, "cpu", start))["trained"] == "all"
    decoder = plan.command_of("decoder", DRAWINGS, tmp_path, "cpu", start)
    assert decoder[2:4] == ["--recipe", "further"]
    assert set_by(decoder)["rehearsed"] == str(tmp_path / "rehearsal")
    enlarged = plan.command_of("decoder", DRAWINGS, tmp_path, "cpu", replace(start, factor=2))
    assert int(set_by(enlarged)["size"]) * 2 == int(set_by(decoder)["size"]) == DRAWINGS.size
    adopted = Sources(language="org/llm", decoder="org/sd", seen=32)
    assert plan.groups(adopted, 2) == [["tokenizer"], ["language", "decoder"]]
    for part in ("language", "decoder"):
        command = plan.command_of(part, PHOTOS, tmp_path, "cpu", adopted)
        assert command[2:4] == ["--recipe", "adopted"]
        assert command[command.index("--start") + 1] == str(tmp_path / f"adopt-{part}")
    assert set_by(plan.command_of("tokenizer", PHOTOS, tmp_path, "cpu", adopted))["model.size"] == "32"


def training(tmp_path, monkeypatch, minutes=60, cores=2, sources=plan.NOTHING, measured=facts):
    """A ``Training`` that runs nothing, and takes 100 seconds of the time for each group."""
    ran, said = [], []
    clock = Time.of(minutes, 0.0, sources.reserved)

    def run(ledger, names, tell, cores, say):
        ran.append(list(names))
        clock.deadline -= 100

    monkeypatch.setattr(stages, "run", run)
    one = Training(
        *(Ledger(tmp_path, {}), PHOTOS, sources, "cpu", 0, clock, cores, said.append, lambda *_: None),
        measure=lambda commands, threads: [measured() for _ in commands],
    )
    one.run()
    return one, ran, [line for line in said if not line.startswith(("measuring", "training:", "adopting"))]


def test_the_time_is_split_between_what_is_trained_and_what_follows(tmp_path, monkeypatch):
    one, ran, said = training(tmp_path, monkeypatch)
    assert (ran, said) == ([["tokenizer"], ["language", "decoder"]], [])
    minutes = {name: float(set_by(command)["loop.minutes"]) for name, command in one.ledger.commands.items()}
    assert minutes["tokenizer"] == pytest.approx((0.4 * 0.85 * 3600 - 20) / 60, abs=0.1)
    # What the tokenizer left: 100 of its 1,224 seconds were used.
    assert minutes["language"] == minutes["decoder"] == pytest.approx((0.85 * 3600 - 100 - 20) / 60, abs=0.1)
    one, ran, _ = training(tmp_path / "alone", monkeypatch, cores=1)
    assert ran == [["tokenizer"], ["language"], ["decoder"]]


def test_too_little_time_is_told_at_the_start_with_the_least(tmp_path, monkeypatch):
    _, _, said = training(tmp_path, monkeypatch, minutes=2)
    # 20 + 23 seconds of training twice, a dry run of 23.5, and 94 afterwards
    fixed = "too little time to learn codes for photographs: they are k-means of patches"
    assert said[:2] == [fixed, "--minutes 2 can't be kept: here this takes about 4 at least"]


def test_photographs_get_the_codes_of_k_means_where_there_is_no_time_to_learn_better_ones(tmp_path, monkeypatch):
    one, _, said = training(tmp_path, monkeypatch, minutes=30)
    assert said[:1] == ["too little time to learn codes for photographs: they are k-means of patches"]
    command = one.ledger.commands["tokenizer"]
    assert plan.recipe_in(command) == "emoji"
    assert float(set_by(command)["loop.minutes"]) == pytest.approx((0.15 * 0.85 * 1800 - 20) / 60, abs=0.1)
    assert "encoder_from" not in set_by(command)
    drawings, language = (plan.command_of(part, DRAWINGS, tmp_path, "cpu") for part in ("tokenizer", "language"))
    assert plan.share([drawings], 1) == plan.share([command], 1) < plan.share([language], 1)


@pytest.mark.parametrize(("minutes", "width"), [(10, "128"), (40, "192"), (240, None), (2000, "320")])
def test_a_language_model_has_the_size_that_learns_most_in_the_time(tmp_path, monkeypatch, minutes, width):
    one, _, said = training(tmp_path, monkeypatch, minutes=minutes)
    assert set_by(one.ledger.commands["language"]).get("width") == width
    assert any("the size that learns most" in line for line in said) == (width is not None)
    few = plan.command_of("language", DRAWINGS, tmp_path, "cpu", samples=1e9)
    assert (set_by(few)["width"], set_by(few)["text_size"]) == ("128", "1024")


def test_trainings_that_do_not_fit_together_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("LANTU_MEMORY", "0.15")
    _, ran, said = training(tmp_path, monkeypatch)
    assert ran == [["tokenizer"], ["language"], ["decoder"]]
    assert "language and decoder don't fit into memory together: trained one after the other" in said
    monkeypatch.setenv("LANTU_MEMORY", "0.05")
    with pytest.raises(LantuError, match=r"training the tokenizer takes 100\.0 MB of memory, 50\.0 MB are free"):
        training(tmp_path / "less", monkeypatch)


def test_adopted_parts_are_commands_too(tmp_path, monkeypatch):
    sources = Sources(language="org/llm", decoder="org/sd")
    one, ran, _ = training(tmp_path, monkeypatch, sources=sources)
    assert ran == [["tokenizer"], ["adopt-language"], ["adopt-decoder"], ["language", "decoder"]]
    tokenizer = ["--tokenizer", str(tmp_path / "tokenizer"), "--out"]
    assert one.ledger.commands["adopt-language"] == [
        *("adopt", "language", "org/llm", *tokenizer, str(tmp_path / "adopt-language"))
    ]
    assert one.ledger.commands["adopt-decoder"][-2:] == ["--size", "64"]


def test_a_dry_run_that_is_refused_or_killed_is_one_line(tmp_path):
    with pytest.raises(LantuError, match="none"):
        dry_runs([["train", "tokenizer", "--data", str(tmp_path / "none")]], 1)
    with pytest.raises(LantuError, match="memory is short"):
        facts_of(SimpleNamespace(returncode=-signal.SIGKILL), "", "", 1.0)


def test_a_call_can_be_corrected_until_trainings_are_planned(tmp_path):
    def opened(**asked):
        return Ledger.open(tmp_path, asked, later=("minutes", "device"))

    ledger = opened(size=32, minutes=1)
    ledger.commands["data"] = ["data"]
    ledger.save()
    ledger = opened(size=64, minutes=1)  # the import was refused
    assert ledger.commands == {}
    ledger.commands["data"] = ["data"]
    ledger.done["data"] = {}
    ledger.save()
    ledger = opened(size=64, minutes=9)  # there were too few minutes
    assert (ledger.asked, ledger.done) == ({"size": 64, "minutes": 9}, {"data": {}})
    ledger.save()
    with pytest.raises(RecipeError, match="another size"):
        opened(size=32, minutes=9)
    ledger.commands["tokenizer"] = ["train"]
    ledger.save()
    with pytest.raises(RecipeError, match="another minutes"):
        opened(size=64, minutes=1)


def test_a_ledger_goes_on_only_with_the_same_call(tmp_path):
    ledger = Ledger.open(tmp_path, {"size": 64, "minutes": 1})
    ledger.commands["data"] = ["data"]
    ledger.seconds |= {"data": 1.0, "language": 5.0, "decoder": 7.0}
    ledger.save()
    ledger.opened -= 100  # seconds ago
    ledger.save()
    again = Ledger.open(tmp_path, {"size": 64, "minutes": 1})
    assert 100 <= again.spent_s < 200
    again.save()
    assert 100 <= Ledger.open(tmp_path, {"size": 64, "minutes": 1}).spent_s < 200
    assert again.commands == ledger.commands
    with pytest.raises(RecipeError, match="another size \\(64\\)"):
        Ledger.open(tmp_path, {"size": 32, "minutes": 1})
    kept = json.loads((tmp_path / stages.LEDGER).read_text())
    for damaged in ("{", "[" * 100_000, *(json.dumps(kept | {name: []}) for name in ("asked", "commands", "seconds"))):
        (tmp_path / stages.LEDGER).write_text(damaged)
        with pytest.raises(RecipeError, match="can't be read"):
            Ledger.open(tmp_path, {"size": 64, "minutes": 1})


def test_a_stage_hears_the_signal_of_its_parent_alone(tmp_path):
    """Ctrl-C of a terminal goes to its whole session: a training that hears two signals loses its checkpoint."""
    running = stages.Running(tmp_path, "models", ["models"], 1)
    assert os.getsid(running.process.pid) == running.process.pid
    assert running.process.wait(60) == 0


def test_commands_go_on_from_another_working_directory(tmp_path, monkeypatch):
    pictures(tmp_path / "in", count=2)
    monkeypatch.chdir(tmp_path)

    def stop(ledger, names, *more):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        make(Wanted(Path("in"), Path("out"), Path("work"), 1.0, 32, "", "cpu", 0), print, print)
    kept = json.loads((tmp_path / "work" / "make.json").read_text())
    assert kept["commands"]["data"][3:6] == [str(tmp_path / "in"), "--out", str(tmp_path / "work" / "data")]


def test_an_interrupted_call_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def stop(*how):
        raise KeyboardInterrupt

    monkeypatch.setattr("lantu.recipes.make.making.make", stop)
    assert main(["make", str(pictures(tmp_path / "in", count=2)), "-o", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.strip() == "stopped: the same command goes on"


def test_a_second_call_in_the_same_folder_is_refused_while_the_first_one_works(tmp_path):
    wanted = Wanted(pictures(tmp_path / "in"), tmp_path / "out", tmp_path / "work", 1.0, 64, "", "cpu", 0)
    (tmp_path / "work").mkdir()
    with locked(tmp_path / "work" / "lock"), pytest.raises(DiskError, match=r"another process works in .*work"):
        make(wanted, print, print)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["lock"]


def test_a_training_without_a_finite_loss_is_reported(tmp_path):
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "log.jsonl").write_text(json.dumps({"step": 5, "loss": None, "skipped": 5}) + "\n")
    assert "no finite loss" in learning(Ledger(tmp_path, {}), ["decoder"])


def test_the_display_shows_losses_scores_warnings_and_the_time_that_is_left(capsys):
    record = {"step": 50, "steps": 100, "loss": 0.5, "val_loss": 0.75, "val_psnr": 18.5, "whole_left_s": 30.0}
    record |= {"sheet": "runs/x.png", "warnings": ["only 5% of the codebook is in use"]}
    wanted = ("validation 0.7500", "PSNR 18.5 dB", "left 30 s", "runs/x.png", "only 5% of the codebook is in use")
    with progress(1.0, True) as tell:  # stderr is no terminal here
        for _ in range(2):
            tell("tokenizer", record)
    told = capsys.readouterr().err
    assert all(told.count(one) == 1 for one in wanted), told
    with progress(1.0, False) as tell:
        tell("tokenizer", record)
    assert capsys.readouterr().err == ""
    with Bars(60.0) as bars:
        bars.tell("tokenizer", record)
        bars.tell("tokenizer", record)
        rows = {task.description: task for task in bars.bar.tasks}
        assert (rows["all"].completed, rows["tokenizer"].completed) == (0.5, 0.5)
        assert all(one in rows["tokenizer"].fields["text"] for one in wanted[:2])
        assert all(one in rows["all"].fields["text"] for one in wanted[2:4])
    assert capsys.readouterr().err.count(wanted[4]) == 1


def test_options_of_importing_reach_the_import_and_must_be_repeated(tmp_path):
    pictures(tmp_path / "in")
    assert importing("auto", "white", False, 0) == []  # what calls of older versions kept in their ledgers
    words = importing("pad", "#88ccff", True, 2)
    how = (tmp_path / "in", tmp_path / "out", tmp_path / "work", 1.0, 64, "", "cpu", 0)
    wanted, plain = Wanted(*how, importing=words), Wanted(*how)
    made = Making(wanted, plan.NOTHING, 64, Ledger(tmp_path, {}), Time.of(1, 0, 0.15), 2, print, print)
    command = made.data_command()
    assert command[-7:] == ["--aspect", "pad", "--background", "#88ccff", "--flips", "--crops", "2"]
    assert "importing" not in plain.asked(64)
    Ledger.open(tmp_path, plain.asked(64)).save()
    with pytest.raises(RecipeError, match="another importing"):
        Ledger.open(tmp_path, wanted.asked(64))


def test_a_model_that_goes_on_learning_is_shown_squares(tiny_model, tmp_path):
    pictures(tmp_path / "in")
    wanted = Wanted(tmp_path / "in", tmp_path / "out", tmp_path / "work", 1.0, 32, "", "cpu", 0, start=str(tiny_model))
    for words, expected in (((), "crop"), (("--aspect", "pad"), "pad")):
        asked = replace(wanted, importing=words)
        made = Making(asked, Sources(start="x"), 32, Ledger(tmp_path, {}), Time.of(1, 0, 0.15), 2, print, print)
        assert made.data_command()[-2:] == ["--aspect", expected]
    with pytest.raises(LantuError, match="goes on learning takes square pictures"):
        make(replace(wanted, importing=("--aspect", "keep")), print, print)
    assert not (tmp_path / "work").exists()
    assert square_of([(128, 96), (112, 112), (96, 128)]) == 112
    assert square_of([(128, 96)]) == 0


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


def test_a_training_that_goes_on_keeps_the_settings_that_it_has_by_now(tmp_path):
    command = ["train", "decoder", "--set", "loop.steps=90", "--data", "d", "--set", "loop.lr=1", "--out", "o"]
    assert stages.without_settings(command) == ["train", "decoder", "--data", "d", "--out", "o"]
    running = stages.Running.__new__(stages.Running)
    running.run, running.command = tmp_path, command
    assert running.steps == 90
    (tmp_path / "config.json").write_text('{"loop": {"steps": 60, "batch_size": 4}}')
    assert running.steps == 60


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
    shutil.rmtree(tmp_path / "model")
    again = subprocess.run(call(tmp_path, "--json"), capture_output=True, text=True, timeout=300)
    assert (again.returncode, (tmp_path / "model" / "README.md").is_file()) == (0, True), again.stderr
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


def test_what_would_be_written_over_is_refused_before_training(tiny_model, tmp_path):
    source, work = pictures(tmp_path / "in"), tmp_path / "work"
    made = shutil.copytree(tiny_model, tmp_path / "made")
    index = json.loads((made / "model_index.json").read_text())
    (made / "model_index.json").write_text(json.dumps(index | {"_class_name": "lantu.Model"}))
    how = {"minutes": 1.0, "size": 32, "labels": "", "device": "cpu", "seed": 0}
    (tmp_path / "mine" / "report").mkdir(parents=True)

    def refused(match, out=tmp_path / "out", place=work, **more):
        with pytest.raises(DiskError, match=match):
            make(Wanted(source, out, place, **how, **more), print, print)

    refused("is a model already", made)
    refused("would overwrite the model that it is made of", made, start=str(made))
    refused("would overwrite the decoder", made, decoder=str(made))
    refused("lies in the model", place=made / "work", start=str(made))
    refused("can't hold the model and the work on it", work)
    refused("can't hold the model and the work on it", place=tmp_path / "out" / "work")
    refused("is a folder of the work", work / "decoder")
    refused(r"has other files in it \(report\)", place=tmp_path / "mine")
    assert not work.exists()
    # A model that the same call has made is finished, not refused.
    ledger = Ledger(work, {})
    ledger.commands["model"] = ["assemble"]
    check_new(made, ledger)


def test_a_work_folder_that_was_moved_is_not_gone_on_with(tmp_path):
    ledger = Ledger(tmp_path / "new", {})
    check_moved(tmp_path / "new", ledger)
    ledger.commands["data"] = ["data", "build", "folder", "in", "--out", str(tmp_path / "old" / "data"), "--size", "32"]
    check_moved(tmp_path / "old", ledger)
    with pytest.raises(DiskError, match="old when this began"):
        check_moved(tmp_path / "new", ledger)
    (tmp_path / "new").mkdir()
    (tmp_path / "old").symlink_to(tmp_path / "new")
    check_moved(tmp_path / "new", ledger)


def test_pictures_that_came_after_the_import_are_told(tmp_path):
    source = pictures(tmp_path / "in", count=3)
    data = build_folder(source, source / "runs" / "mine" / "data", 32, workers=1)
    (source / "runs" / "mine" / "make.json").write_text('{"asked": {}, "commands": {}}')
    (source / "runs" / "mine" / "new.png").write_bytes(b"0")
    assert changes(source, data) == changes(source / "captions.csv", data) == ""
    (source / "new.png").write_bytes(b"0")
    os.utime(source / "new.png", (0, 0))  # as a copy of an old picture
    os.utime(data / "index.json", (built := time.time() - 1, built))
    os.utime(source / "0.png", (built + 9, built + 9))
    assert "changed after the import, e.g. " in changes(source, data)
    assert changes(tmp_path / "none", data) == ""


def test_a_folder_of_other_things_is_refused_before_training(tmp_path):
    pictures(tmp_path / "in")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    result = subprocess.run(call(tmp_path), capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "mine.txt" in result.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_a_model_goes_on_learning_and_keeps_what_it_drew(tiny_model, tmp_path):
    pictures(tmp_path / "in")
    start = shutil.copytree(tiny_model, tmp_path / "start")
    Upscaler(UpscalerConfig(width=16, layers=1)).save(start / "upscaler")  # it draws 64 pixels
    words = {"names": {"en": [], "zh": []}, "words": {"en": ["cat", "dog"], "zh": []}, "emoji": {}}
    (start / "words.json").write_text(json.dumps(words))
    words = [*call(tmp_path, "--start", str(start), "--json")]
    del words[words.index("--size") : words.index("--size") + 2]
    first = subprocess.Popen(words)
    deadline = time.monotonic() + 300
    while not (tmp_path / "work" / "language" / "config.json").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    result = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "work" / "report" / "index.html").read_text()
    assert "what it drew before" in page
    assert "lantu data build drawings" in page
    known = json.loads((tmp_path / "model" / "words.json").read_text())["words"]["en"]
    assert {"cat", "dog", "red", "box"} <= set(known)
    same = (tiny_model / "tokenizer" / "model.safetensors").read_bytes()
    assert (tmp_path / "model" / "tokenizer" / "model.safetensors").read_bytes() == same
    assert Model.load(tmp_path / "model", "cpu").draw("a cat", seed=1).image.size == (64, 64)
    other = subprocess.run([*call(tmp_path, "--start", str(start)), "--size", "32"], capture_output=True, text=True)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "draws 64x64 px" in other.stderr


@pytest.mark.slow
def test_pretrained_parts_learn_the_pictures(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "diffusers"))
    from tiny_pipelines import write

    import tiny_language

    pictures(tmp_path / "in")
    tiny_language.write(tmp_path / "llm", "llama", True, rows=352)
    write("sd", tmp_path / "sd")
    parts = ["--language", str(tmp_path / "llm"), "--decoder", str(tmp_path / "sd")]
    result = subprocess.run(call(tmp_path, *parts), capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "work" / "report" / "index.html").read_text()
    assert "lantu adopt language" in page
    assert "lantu adopt decoder" in page
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert index["decoder"] == ["lantu.models.diffusers.pretrained", "PretrainedDecoder"]
