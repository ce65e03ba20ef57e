"""The command as a user types it, in this process unless its end is what matters."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lantu.images import metadata
from lantu.pipeline import Model
from lantu.training.loop import Summary


def pixels(path):
    return np.asarray(Image.open(path))


def test_draw_writes_a_named_picture(lantu):
    code, out, err = lantu("draw", "左边一只猫，右边 a dog!", "--seed", 7)
    assert (code, err) == (0, "")
    assert out.startswith("左边一只猫-右边-a-dog-7.png  seed 7  ")
    assert pixels("左边一只猫-右边-a-dog-7.png").shape == (32, 32, 3)


def test_draw_json(lantu, tmp_path):
    code, out, err = lantu("draw", "a cat", "-n", 2, "-o", "made/out.png", "--seed", 7, "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert set(told) == {"files", "seed", "model", "tokens", "timings_ms", "unknown_words"}
    assert told["files"] == ["made/out-1.png", "made/out-2.png"]
    assert (told["seed"], told["model"], told["tokens"]) == (7, "tiny", 32)
    assert set(told["timings_ms"]) == {"plan", "render", "total"}
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["out-1.png", "out-2.png"]


def test_a_random_seed_is_told_and_draws_the_same_again(lantu):
    seed = json.loads(lantu("draw", "a cat", "-o", "a.png", "--json")[1])["seed"]
    lantu("draw", "a cat", "-o", "b.png", "--seed", seed)
    assert np.array_equal(pixels("a.png"), pixels("b.png"))


def test_like_draws_the_same_again(lantu):
    lantu("draw", "a cat", "-n", 2, "-o", "a.png", "--steps", 3, "--guidance", 1.5, "--size", "48x16", "--top-k", 5)
    code, _, err = lantu("draw", "--like", "a-2.png", "-o", "b.png")
    assert code == 0
    assert "learnt pictures of 32x32" in err
    assert metadata.describe(metadata.read_picture("b.png")) == metadata.describe(metadata.read_picture("a-2.png"))
    assert np.array_equal(pixels("a-2.png"), pixels("b.png"))
    lantu("draw", "a dog", "--like", "a-2.png", "-o", "c.png", "--steps", 1)
    changed = metadata.read_picture("c.png")
    assert (changed.prompt, changed.settings["steps"], changed.settings["guidance"]) == ("a dog", 1, 1.5)


def test_like_warns_of_another_model(lantu, tmp_path):
    lantu("draw", "a cat", "-o", "a.png")
    picture = metadata.read_picture("a.png")
    metadata.save_picture(type(picture)(picture.image, picture.codes, "a cat", 1, "another"), "a.png")
    assert "drawn by another model" in lantu("draw", "--like", "a.png", "-o", "b.png")[2]


def test_tokens_out_and_back(lantu):
    lantu("draw", "a cat", "-n", 2, "-o", "a.png", "--seed", 3, "--tokens-out", "t.json")
    assert lantu("draw", "--from-tokens", "t.json", "-o", "b.png", "--seed", 3)[0] == 0
    assert lantu("detokenize", "t.json", "-o", "c.png", "--seed", 3)[0] == 0
    for name in ("b", "c"):
        assert np.array_equal(pixels("a-1.png"), pixels(f"{name}-1.png"))
        assert np.array_equal(pixels("a-2.png"), pixels(f"{name}-2.png"))
    assert lantu("draw", "--like", "b-1.png", "-o", "d.png")[0] == 0  # no prompt: its codes are painted again
    assert np.array_equal(pixels("a-1.png"), pixels("d.png"))


def test_tokenize_to_detokenize_through_a_pipe(lantu, monkeypatch):
    lantu("draw", "a cat", "-o", "a.png")
    code, out, _ = lantu("tokenize", "a.png", "a.png")
    assert code == 0
    assert [np.array(picture["codes"]).shape for picture in json.loads(out)["pictures"]] == [(4, 4)] * 2
    monkeypatch.setattr(sys, "stdin", io.StringIO(out))
    assert lantu("detokenize", "-")[1].startswith("tokens-1.png")
    code, out, _ = lantu("tokenize", "a.png", "-o", "t.json", "--json")
    assert json.loads(out) == {"files": ["t.json"], "pictures": 1, "model": "tiny"}


def test_caption(lantu):
    lantu("draw", "a cat", "-o", "a.png")
    assert lantu("caption", "a.png")[0] == 0
    told = json.loads(lantu("caption", "a.png", "--lang", "zh", "--json")[1])
    assert (told["language"], told["file"], told["model"]) == ("zh", "a.png", "tiny")


def test_a_language_that_a_model_learnt_no_captions_in_is_told(lantu, tiny_model, tmp_path):
    lantu("draw", "a cat", "-o", "a.png")
    model = shutil.copytree(tiny_model, tmp_path / "english")
    words = {"names": {"en": [], "zh": []}, "words": {"en": ["cat"], "zh": []}, "emoji": {}}
    (model / "words.json").write_text(json.dumps(words))
    for language, told in (("en", False), ("zh", True)):
        err = lantu("caption", "a.png", "--model", str(model), "--lang", language)[2]
        assert ("learnt no captions in zh" in err) == told


def test_models_and_info(lantu):
    assert "tiny *" in lantu("models")[1]
    assert json.loads(lantu("models", "--json")[1])["models"][0]["name"]
    assert "language" in lantu("info")[1]
    assert json.loads(lantu("info", "--model", "tiny", "--json")[1])["codebook"] == 32


def test_preview(lantu):
    assert "▀" in lantu("draw", "a cat", "--preview")[1]
    assert "▀" not in lantu("draw", "a cat")[1]
    assert "▀" not in lantu("draw", "a cat", "--preview", "--json")[1]


def spoil(folder):
    (folder / "text.png").write_text("no picture")
    (folder / "t.json").write_text("[[1, 99]]")
    Image.new("RGB", (33, 32)).save(folder / "odd.png")
    (folder / "empty").mkdir()
    (folder / "file").touch()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["draw"], "nothing to draw"),
        (["draw", ""], "the prompt is empty"),
        (["draw", "x" * 100_000], "100,000 characters"),
        (["draw", "a\udc80b"], "not valid Unicode"),
        (["draw", "a cat", "--size", "33x32"], "multiple of 8"),
        (["draw", "a cat", "--size", "520x32"], "512 at most"),
        (["draw", "a cat", "--size", "big"], "write width x height"),
        (["draw", "a cat", "-o", "a.xyz"], "end it with one of .png"),
        (["draw", "a cat", "-o", "empty"], "is a folder"),
        (["draw", "a cat", "-o", "file/a.png"], "can't write"),
        (["draw", "a cat", "--tokens-out", "file/t.json", "-o", "a.png"], "can't write"),
        (["draw", "a cat", "--model", "empty"], "it lacks model_index.json"),
        (["draw", "a cat", "--model", "nothing"], "choose one of"),
        (["draw", "a cat", "--steps", 0], "steps can't be 0"),
        (["draw", "a cat", "--guidance", "much"], "--guidance"),
        (["draw", "a cat", "--sampler", "none"], "choose one of euler"),
        (["draw", "a cat", "--seed", -1], "--seed"),
        (["draw", "a cat", "--seed", 2**63], "out of range"),
        (["draw", "a cat", "-n", 0], "-n"),
        (["draw", "a cat", "--device", "tpu"], "--device"),
        (["draw", "a cat", "--colour"], "see lantu draw --help"),
        (["draw", "a cat", "--from-tokens", "t.json"], "leave out the prompt"),
        (["draw", "--from-tokens", "t.json", "--control", "odd.png"], "leave out --control"),
        (["draw", "--from-tokens", "t.json", "--example", "odd.png=a", "--temperature", 1], "--example, --temperature"),
        (["draw", "--from-tokens", "t.json"], "the model has 0 to 31"),
        (["draw", "--from-tokens", "missing.json"], "can't read the tokens file"),
        (["draw", "--like", "odd.png"], "does not say how it was drawn"),
        (["caption", "missing.png"], "no picture at missing.png"),
        (["caption", "text.png"], "can't read text.png"),
        (["caption", "odd.png"], "--fit"),
        (["tokenize", "odd.png"], "--fit"),
        (["tokenize"], "Missing argument"),
        (["detokenize", "odd.png"], "can't read the tokens file"),
        (["detokenize", "file"], "is not a tokens file"),
        (["info", "--model", "nothing"], "no model called nothing"),
        (["train", "tokenizer", "--data", "empty", "--recipe", "none"], "no tokenizer recipe called none"),
        (["train", "painter", "--data", "empty"], "painter"),
        (["assemble", "--tokenizer", "empty", "--language", "empty", "--decoder", "empty", "-o", "m"], "empty"),
        (["eval", "--suites", "none"], "no suite called none"),
        (["eval", "--set", "colour=red"], "no sampling parameter called colour"),
        (["eval", "--set", "steps=many"], "steps can't be"),
        (["eval", "--set", "steps=0"], "steps can't be 0"),
        (["eval", "-n", 2], "give their file: --prompts FILE"),
        (["eval", "--prompts", "text.png", "--minutes", 1], "--limit draws fewer prompts"),
        (["data", "inspect", "missing"], "missing"),
        (["data", "build", "folder", "missing"], "missing"),
        (["data", "build", "emoji", "--world", "none", "-o", "d"], "none"),
        (["data", "tokenize", "missing"], "missing"),
        (["data", "export", "missing", "-o", "x.jsonl"], "missing"),
        (["data"], "see lantu data --help"),
        (["paint"], "No such command 'paint'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(lantu, tmp_path, arguments, said):
    spoil(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = lantu(*arguments)
    lines = [line for line in err.splitlines() if "things come apart" not in line]
    assert (code, out) == (2, "")
    assert len(lines) == 1
    assert lines[0].startswith("lantu: ")
    assert said in lines[0]
    written = set(tmp_path.rglob("*")) - set(before)
    assert not [path for path in written if "cache" not in path.parts and path.name != "a.png"]


def test_our_faults_are_told_from_the_users(lantu, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("lantu.models.hub.find", broken)
    code, out, err = lantu("info")
    assert (code, out) == (1, "")
    assert err == "lantu: a bug, sorry: ZeroDivisionError: by zero (details: set LANTU_TRACEBACK=1)\n"
    monkeypatch.setenv("LANTU_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        lantu("info")


def test_control_characters_of_the_input_do_not_reach_the_terminal(lantu):
    assert "\x1b" not in lantu("info", "--model", "\x1b[31mred")[2]


def test_help(lantu):
    assert "draw" in lantu()[1]
    assert lantu("--help")[1] == lantu()[1]
    for command in ("draw", "caption", "tokenize", "detokenize", "models", "info", "train", "assemble", "eval"):
        code, out, _ = lantu(command, "--help")
        assert code == 0
        assert "--json" in out
    assert lantu("--version")[1].startswith("lantu 0.")


def test_ctrl_c_says_nothing_and_leaves_nothing_half_written(tiny_model, tmp_path):
    # So many pictures that it is still drawing when the signal comes.
    command = [sys.executable, "-m", "lantu", "draw", "a cat", "-n", "1000", "--steps", "50", "-o", "out.png"]
    process = subprocess.Popen([*command, "--model", tiny_model], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "out-2.png").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130
    assert [line for line in told if line and "learnt pictures" not in line] == []
    for path in tmp_path.iterdir():
        assert metadata.read_picture(path).prompt == "a cat"


@pytest.fixture
def own_pictures(lantu, tmp_path):
    """A data folder made of a user's pictures, one of which is broken."""
    source = tmp_path / "pictures"
    source.mkdir()
    for number in range(4):
        Image.new("RGB", (40, 32), (60 * number, 0, 0)).save(source / f"{number}.png")
        (source / f"{number}.txt").write_text(f"a cat number {number}\n")
    (source / "broken.png").write_text("no picture")
    code, out, err = lantu("data", "build", "folder", source, "-o", "d", "--size", 32, "--workers", 1)
    assert code == 0
    assert out.endswith("3 train, 1 val, 1 skipped\n")
    assert "left out" in err
    assert "it is not a picture: broken" in err
    return "d"


def test_data_commands(lantu, own_pictures, tmp_path):
    code, out, _ = lantu("data", "inspect", own_pictures, "--sheet", "sheet.png", "--model", "tiny")
    assert code == 0
    assert "train  3 pictures" in out
    assert "ids" in out
    assert pixels("sheet.png").ndim == 3
    assert json.loads(lantu("data", "inspect", own_pictures, "--json")[1])["splits"]["val"]["pictures"] == 1
    name = json.loads(lantu("data", "tokenize", own_pictures, "--json")[1])["codes"]
    assert np.load(tmp_path / own_pictures / f"codes-{name}-train.npy").shape == (3, 4, 4)
    assert lantu("data", "export", own_pictures, "-o", "x.jsonl")[1] == "x.jsonl  6 documents\n"
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 6


def test_train_passes_everything_on(lantu, monkeypatch, tiny_model):
    asked = {}

    def train(part, recipe, data, out, overrides, resume, dry_run, device, progress):
        asked.update(locals())
        return Summary(out, "time", 5, 10, 0, 1.0, {})

    monkeypatch.setattr("lantu.recipes.train", train)
    own = ["--set", "loop.steps=10", "--set", "width=64", "--seed", 3, "--tokenizer", tiny_model / "tokenizer"]
    code, out, _ = lantu("train", "language", "--data", "d", *own, "--resume")
    assert (code, out) == (0, "runs/language-emoji  time at step 5 of 10\ncontinue with --resume\n")
    assert asked["overrides"] == ["loop.steps=10", "width=64", "loop.seed=3", f"tokenizer={tiny_model}/tokenizer"]
    assert (asked["part"], asked["recipe"], asked["resume"], asked["dry_run"]) == ("language", "emoji", True, False)
    told = json.loads(lantu("train", "decoder", "--data", "d", "-o", "here", "--json")[1])
    assert (told["folder"], told["reason"]) == ("here", "time")


def test_assemble(lantu, tiny_model):
    parts = [text for part in ("tokenizer", "language", "decoder") for text in (f"--{part}", tiny_model / part)]
    code, out, _ = lantu("assemble", *parts, "-o", "models/mine", "--license", "mine", "--set", "steps=3")
    assert code == 0
    assert out.startswith("models/mine  draw with:")
    told = json.loads(lantu("info", "--model", "models/mine", "--json")[1])
    assert (told["name"], told["license"], told["draw"]["steps"]) == ("mine", "mine", 3)
    assert lantu("draw", "a cat", "--model", "models/mine")[0] == 0


def test_eval_says_what_was_left_out_and_tells_details_of_own_pictures(lantu, monkeypatch):
    suite = {"score": 0.5, "round_trip": 1.0, "ceiling": 1.0, "of_round_trip": 0.5, "n": 4, "split": "val"}
    suite |= {"notes": ["no captions"], "details": {"score": {"score": 0.5, "nats": 1.25}}}
    monkeypatch.setattr("lantu.recipes.evaluate", lambda *arguments, **dials: {"codes": suite})
    code, out, err = lantu("eval")
    assert (code, err) == (0, "no captions\n")
    assert out.splitlines()[-1] == "codes: nats 1.25"


def test_eval_prints_a_table(lantu, monkeypatch):
    suite = {"score": 0.5, "round_trip": 0.75, "ceiling": 1.0, "of_round_trip": 0.667, "n": 4}
    asked = {}

    def evaluate(model, data, suites, limit, seed, out, progress, minutes, **dials):
        asked.update(locals())
        return {"pairs": suite}

    monkeypatch.setattr("lantu.recipes.evaluate", evaluate)
    code, out, _ = lantu("eval", "--suites", "pairs, single", "--limit", 4, "--set", "guidance=2")
    assert code == 0
    assert out.splitlines()[1].split() == ["pairs", "50.0%", "75.0%", "100.0%", "66.7%", "4"]
    assert (asked["model"].name, asked["suites"], asked["dials"]) == ("tiny", ["pairs", "single"], {"guidance": 2.0})
    assert json.loads(lantu("eval", "--json")[1]) == {"pairs": suite}


def test_on_a_terminal_the_picture_comes_row_by_row_and_is_the_same(tiny_model, tmp_path):
    """What stands on a terminal changes while the drawing goes on; the file is what a pipe would get."""
    pty = pytest.importorskip("pty")
    command = [sys.executable, "-m", "lantu", "draw", "a cat", "--seed", "3", "--model", str(tiny_model)]
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "60", "LINES": "40"}
    environment.pop("NO_COLOR", None)
    terminal, end = pty.openpty()
    watched = subprocess.Popen([*command, "-o", "watched.png"], cwd=tmp_path, env=environment, stdout=end, stderr=end)
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the command is
        while block := os.read(terminal, 65536):
            shown += block
    os.close(terminal)
    assert watched.wait() == 0
    frames = shown.decode().split("\x1b[1A")  # each frame but the first begins by going back up
    assert "▀" in frames[0]
    assert len({frame for frame in frames if "▀" in frame}) > 3
    subprocess.run([*command, "-o", "piped.png", "--json"], cwd=tmp_path, check=True, capture_output=True)
    with Image.open(tmp_path / "watched.png") as one, Image.open(tmp_path / "piped.png") as other:
        assert one.tobytes() == other.tobytes()


def test_edit_redraws_a_box_and_tells_about_it(lantu, tmp_path):
    lantu("draw", "a cat", "-o", "a.png", "--seed", 1)
    code, out, err = lantu("edit", "a.png", "a dog", "--box", "0,0,8,8", "-o", "b.png", "--seed", 2, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["files"] == ["b.png"]
    before, after = metadata.read_picture("a.png"), metadata.read_picture("b.png")
    assert np.array_equal(before.codes.ravel()[1:], after.codes.ravel()[1:])
    assert np.array_equal(pixels("a.png")[16:], pixels("b.png")[16:])
    mask = Image.new("RGBA", (32, 32), "black")
    mask.paste((0, 0, 0, 0), (0, 0, 8, 8))
    mask.save("mask.png")
    assert lantu("edit", "a.png", "a dog", "--mask", "mask.png", "-o", "c.png", "--seed", 2)[0] == 0
    assert np.array_equal(pixels("b.png"), pixels("c.png"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--box", "0,0,99,8"], "the box 0,0,99,8 does not fit"),
        (["--box", "left"], "can't be read"),
        (["--mask", "small.png"], "give a mask as large"),
        (["--mask", "a.png", "--box", "0,0,8,8"], "give one of them"),
        (["--mask", "missing.png"], "no picture at"),
    ],
)
def test_places_that_do_not_fit_are_refused_in_a_line(lantu, arguments, told):
    lantu("draw", "a cat", "-o", "a.png", "--seed", 1)
    Image.new("L", (16, 16), 255).save("small.png")
    code, out, err = lantu("edit", "a.png", "a dog", *arguments, "-o", "b.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert not os.path.exists("b.png")


def test_chat_answers_each_line(lantu, monkeypatch, tmp_path):
    lantu("draw", "a cat", "-o", "a.png", "--seed", 1)
    monkeypatch.setattr("sys.stdin", io.StringIO("what is this? @a.png\n\n画一只猫\n"))
    code, out, err = lantu("chat", "--seed", 3, "--json", "--set", "temperature=1")
    assert (code, err) == (0, "")
    turns = json.loads(out)["turns"]
    assert [turn["said"] for turn in turns] == ["what is this? @a.png", "画一只猫"]
    for turn in turns:
        for part in turn["reply"]:
            assert isinstance(part, str) or os.path.exists(part["file"])
    monkeypatch.setattr("sys.stdin", io.StringIO("what is this? @missing.png\na dog\n"))
    code, out, err = lantu("chat", "--seed", 3)
    assert (code, err.count("no picture at missing.png")) == (0, 1)  # said, and the talk goes on


def test_examples_are_files_with_captions(lantu, tmp_path):
    lantu("draw", "a dog", "-o", "dog.png", "--seed", 1)
    lantu("draw", "a cat", "-o", "plain.png", "--seed", 2)
    code, _, err = lantu("draw", "a cat", "-o", "after.png", "--seed", 2, "--example", "dog.png=a dog")
    assert (code, err) == (0, "")
    assert not np.array_equal(pixels("plain.png"), pixels("after.png"))
    code, _, err = lantu("draw", "a cat", "--example", "dog.png")
    assert (code, "FILE=CAPTION" in err) == (2, True)
    Image.new("RGB", (50, 40)).save("odd.png")
    assert lantu("draw", "a cat", "--example", "odd.png=odd")[0] == 2
    assert lantu("draw", "a cat", "-o", "fit.png", "--example", "odd.png=odd", "--fit")[0] == 0
    assert lantu("draw", "a cat", "--memory", tmp_path / "nothing")[0] == 2


def test_what_was_planned_before_an_instruction_was_followed_is_told(lantu):
    lantu("draw", "a cat", "-o", "a.png", "--seed", 1)
    code, out, err = lantu("edit", "a.png", "replace the cat with a dog", "-o", "b.png", "--seed", 2, "--json")
    assert (code, err) == (0, "")
    plan = json.loads(out)["plan"]
    assert plan
    code, out, err = lantu("edit", "a.png", "replace the cat with a dog", "-o", "c.png", "--seed", 2)
    assert (code, err.split()) == (0, " → ".join(plan).split())
    assert np.array_equal(pixels("b.png"), pixels("c.png"))
    code, out, _ = lantu("edit", "a.png", "a dog", "--box", "0,0,8,8", "-o", "d.png", "--json")
    assert (code, "plan" in json.loads(out)) == (0, False)


def test_captions_and_changes_go_by_examples(lantu):
    lantu("draw", "a cat", "-o", "a.png", "--seed", 1)
    lantu("draw", "a dog", "-o", "b.png", "--seed", 2)
    assert lantu("caption", "a.png", "--example", "b.png=a zorp", "--json")[0] == 0
    code, _, err = lantu("edit", "a.png", "--example", "a.png=b.png", "-o", "c.png", "--seed", 2)
    assert (code, os.path.exists("c.png")) == (0, True)
    code, _, err = lantu("edit", "a.png", "--example", "a.png", "-o", "d.png")
    assert (code, "BEFORE=AFTER" in err) == (2, True)
    code, _, err = lantu("edit", "a.png", "-o", "d.png")
    assert (code, err.count("\n"), os.path.exists("d.png")) == (2, 1, False)


def test_words_that_were_never_taught_are_told(lantu, tiny_model, tmp_path, monkeypatch):
    folder = tmp_path / "taught"
    shutil.copytree(tiny_model, folder)
    words = {"names": {"en": ["cat", "dog"], "zh": ["猫", "狗"]}, "words": {"en": ["left"], "zh": []}}
    cat = {"🐱": ["cat", "猫", "a cat", "cats", "只"]}
    (folder / "words.json").write_text(json.dumps(words | {"emoji": cat}), encoding="utf-8")
    code, out, error = lantu("draw", "a catt", "-o", "a.png", "--model", str(folder), "--json")
    assert code == 0
    assert json.loads(out)["unknown_words"] == [{"word": "catt", "nearest": ["cat"]}]
    assert error.splitlines()[-2:] == [
        "lantu: the prompt names nothing that the model knows: the picture shows something else, or nothing",
        'lantu: the model doesn\'t know "catt"; nearest: cat',
    ]
    code, out, error = lantu("draw", "a cat on the left, please", "-o", "a.png", "--model", str(folder), "--json")
    assert (code, json.loads(out)["unknown_words"]) == (0, [])
    assert "know" not in error
    _, _, error = lantu("draw", "🐱", "--seed", "1", "-o", "b.png", "--model", str(folder))
    assert 'emoji are read as words: "a cat"' in error
    lantu("draw", "a cat", "--seed", "1", "-o", "c.png", "--model", str(folder))
    assert np.array_equal(pixels("b.png"), pixels("c.png"))
    code, out, error = lantu("edit", "b.png", "a dogg", "--box", "0,0,16,16", "--model", str(folder), "--json")
    assert json.loads(out)["unknown_words"] == [{"word": "dogg", "nearest": ["dog"]}]
    (folder / "words.json").write_text("{}")
    code, _, error = lantu("draw", "a cat", "-o", "d.png", "--model", str(folder))
    assert (code, len(error.splitlines())) == (2, 1)


def test_an_own_drawing_is_captioned_from_its_codes(lantu, monkeypatch):
    from lantu.tasks import caption

    read = []
    real = caption.caption_codes

    def noted(parts, codes, *rest, **how):
        read.append(codes)
        return real(parts, codes, *rest, **how)

    def denoised(parts, pixels):
        return codes * 0
        yield

    monkeypatch.setattr(caption, "caption_codes", noted)
    lantu("draw", "a cat", "-o", "a.png", "--tokens-out", "a.json")
    codes = np.array(json.loads(Path("a.json").read_text())["pictures"][0]["codes"])
    monkeypatch.setattr(caption, "denoise", denoised)
    assert lantu("caption", "a.png")[0] == 0
    assert np.array_equal(read[-1], codes)
    Image.fromarray(pixels("a.png")).save("bare.png")
    assert lantu("caption", "bare.png")[0] == 0
    assert not read[-1].any()


def test_a_size_that_was_not_learnt_is_refused_or_warned_of(lantu, tiny_model, tmp_path):
    """The model has learnt 32x32; a drawing made before at another size is drawn again all the same."""
    metadata.save_picture(Model.load(tiny_model, "cpu").draw("a cat", seed=1, size=(64, 64)), "former.png")
    for size in ("48x48", "8x8", "256x256", "96x8"):
        code, _, err = lantu("draw", "a cat", "--size", size, "-o", "a.png")
        assert code == 2
        assert err.splitlines()[-1].startswith("lantu: the model has learnt pictures of 32x32")
    assert not (tmp_path / "a.png").exists()
    code, _, err = lantu("draw", "a cat", "--size", "64x32", "-o", "a.png")
    assert (code, "come apart" in err) == (0, True)
    code, _, err = lantu("draw", "--like", "former.png", "-o", "again.png")
    assert (code, "nothing sensible" in err) == (0, True)
    assert np.array_equal(pixels("again.png"), pixels("former.png"))


def test_a_sampler_that_is_not_installed_is_said_in_a_line(lantu, monkeypatch):
    monkeypatch.setattr("lantu.diffusion.samplers.find_spec", lambda name: None)
    code, _, err = lantu("draw", "a cat", "--sampler", "unipc", "-o", "a.png")
    assert (code, "lantu[train]" in err) == (2, True)
