"""The script ``run`` with a python3 that only pretends: it makes environments and installs in no time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# Stands for python3 and for .venv/bin/python: notes its calls, makes the environment, breaks or dawdles if asked to.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    *sys.version_info*) exit "${TOO_OLD:-0}" ;;
    *fcntl*) exec "$REAL_PYTHON" "$@" ;;
esac
echo "$*" >>"$CALLS"
case "$*" in
    *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"-m pip"*)
        echo "pip says why" >&2
        [[ -z ${DAWDLE:-} ]] || sleep "$DAWDLE"
        exit "${PIP_FAILS:-0}"
        ;;
esac
"""


@pytest.fixture
def house(tmp_path):
    """A copy of the repository's script, and the environment to call it in."""
    place = tmp_path / "house with spaces"
    place.mkdir()
    (place / "run").write_bytes((REPOSITORY / "run").read_bytes())
    (place / "run").chmod(0o755)
    (place / "pyproject.toml").write_text("[project]\n")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CALLS": str(tmp_path / "calls"),
        "REAL_PYTHON": sys.executable,
    }
    return place, environment


def call(house, *arguments, **extra):
    place, environment = house
    return subprocess.run(
        [place / "run", *arguments], env=environment | extra, capture_output=True, text=True, timeout=120
    )


def calls(house) -> list[str]:
    """What the pretended python was asked since the last look."""
    path = Path(house[1]["CALLS"])
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_first_call_sets_up_and_later_ones_do_not(house):
    first = call(house, "draw", "a cat", "--json")
    assert first.returncode == 0
    assert first.stdout == ""  # what the command prints on stdout stays machine-readable
    assert first.stderr.count("\n") == 3  # a line a stage
    made, installed, ran = calls(house)
    assert made.startswith("-m venv ")
    assert installed.startswith("-m pip install")
    assert installed.endswith("house with spaces")  # and no extras: drawing needs none
    assert ran == "-P -m lantu draw a cat --json"
    second = call(house, "models")
    assert second.stderr == ""
    assert calls(house) == ["-P -m lantu models"]


def test_tests_go_to_pytest(house):
    call(house, "test", "-k", "nothing")
    calls(house)
    call(house, "test", "tests/test_run.py")
    call(house, "test", "--all", "-x")
    assert calls(house) == ["-m pytest tests/test_run.py", "-m pytest -m  -x"]
    call(house, "test")
    call(house, "test", "--all")
    cores = min(4, os.cpu_count())
    parallel = f"-m pytest --numprocesses {cores} --dist loadfile"
    assert calls(house) == [parallel, f"{parallel} -m "]


@pytest.mark.parametrize("words", ["compare --plan", "draw x --backend transformers", "draw x --backend=torch", "eval"])
def test_what_computes_with_torch_installs_it(house, words):
    call(house, *words.split())
    assert any(line.endswith("[serve,train]") for line in calls(house))


def test_the_environment_grows_with_what_is_asked_and_never_shrinks(house):
    for command, installed in (
        ("draw", ""),
        ("serve", "[serve]"),
        ("studio", None),
        ("train", "[serve,train]"),
        ("draw", None),
        ("test", "[serve,train,dev]"),
        ("data", None),
    ):
        call(house, command)
        pip = [line for line in calls(house) if "-m pip" in line]
        assert [line.endswith(f"house with spaces{installed}") for line in pip] == ([] if installed is None else [True])
    (house[0] / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    call(house, "draw")
    assert any(line.endswith("[serve,train,dev]") for line in calls(house))


def test_changed_native_code_is_compiled_anew(house):
    native = house[0] / "src" / "lantu" / "kernels" / "csrc"
    native.mkdir(parents=True)
    (native / "lantu.cpp").write_text("int a;\n")
    call(house, "models")
    calls(house)
    assert call(house, "models").stderr == ""
    (native / "lantu.cpp").write_text("int b;\n")
    calls(house)
    call(house, "models")
    assert [line.split()[1] for line in calls(house)] == ["pip", "-m"]


def test_changed_requirements_are_installed_in_place(house):
    call(house, "models")
    calls(house)
    (house[0] / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert call(house, "models").returncode == 0
    assert [line.split()[1] for line in calls(house)] == ["pip", "-m"]


def test_a_moved_repository_is_set_up_anew(house):
    call(house, "models")
    calls(house)
    place = house[0].rename(house[0].with_name("elsewhere"))
    assert call((place, house[1]), "models").returncode == 0
    assert [line.split()[1] for line in calls(house)] == ["venv", "pip", "-m"]


def test_failure_shows_the_log_and_the_next_call_repairs(house):
    broken = call(house, "models", PIP_FAILS="7")
    assert broken.returncode == 2
    assert "pip says why" in broken.stderr
    assert "setup.log" in broken.stderr.splitlines()[-1]
    assert call(house, "models").returncode == 0
    assert call(house, "models").stderr == ""


def test_refused_change_keeps_what_there_was(house):
    call(house, "models")
    (house[0] / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert call(house, "models", PIP_FAILS="1").returncode == 2
    calls(house)
    assert call(house, "models").returncode == 0
    assert [line.split()[1] for line in calls(house)] == ["pip", "-m"]


def test_killed_set_up_is_repaired(house):
    place, environment = house
    killed = subprocess.Popen(
        [place / "run", "models"], env=environment | {"DAWDLE": "20"}, stderr=subprocess.PIPE, start_new_session=True
    )
    log = place / ".venv" / "setup.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "pip says why" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    calls(house)
    assert call(house, "models").returncode == 0
    assert [line.split()[1] for line in calls(house)] == ["venv", "pip", "-m"]


def test_concurrent_calls_set_up_once(house):
    place, environment = house
    both = [
        subprocess.Popen([place / "run", "models"], env=environment | {"DAWDLE": "0.5"}, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    asked = calls(house)
    assert sum("-m pip" in line for line in asked) == 1
    assert asked.count("-P -m lantu models") == 2
    assert sum(b"waiting" in text for text in told) == 1


def test_exit_code_is_the_commands(house):
    call(house, "models")
    (house[0] / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 2\n")
    assert call(house, "models").returncode == 2


def test_without_a_fit_python_it_says_what_to_install(house):
    refusing = house[0].parent / "bin"
    for version in (11, 12, 13):
        (refusing / f"python3.{version}").write_text(PYTHON)
        (refusing / f"python3.{version}").chmod(0o755)
    refused = call(house, "models", TOO_OLD="1")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("run: no python3 of 3.11 or newer")
    assert not (house[0] / ".venv").exists()


@pytest.mark.parametrize("in_the_way", [".venv", ".venv/lock"])
def test_a_place_that_cant_be_written_is_one_line(house, in_the_way):
    place = house[0] / in_the_way
    if place.name == "lock":
        place.mkdir(parents=True)
    else:
        place.touch()
    refused = call(house, "models")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert refused.stderr.startswith("run: can't ")
    assert calls(house) == []


def test_a_model_of_another_family_brings_what_it_needs(house, tmp_path):
    """Published directories have their config.json at the top; a diffusers index names another class."""
    janus = tmp_path / "some models" / "janus"
    pipeline, ours, mixed = (janus.parent / name for name in ("pipeline", "ours", "mixed"))
    for folder in (janus, pipeline, ours, mixed):
        folder.mkdir(parents=True)
    (janus / "config.json").write_text('{"model_type": "janus"}')
    (pipeline / "model_index.json").write_text('{"_class_name": "GlmImagePipeline"}')
    (ours / "model_index.json").write_text('{\n  "_class_name": "lantu.MaskedModel"\n}')
    decoder = '"decoder": [\n  "lantu.models.diffusers.pretrained",\n  "PretrainedDecoder"\n ]'
    (mixed / "model_index.json").write_text(f'{{\n "_class_name": "lantu.Model",\n {decoder}\n}}')
    for arguments, extras in (
        (["draw", "a cat", "--model", str(ours)], ""),
        (["draw", "--model", "lantu-emoji", "--", "--model"], None),
        (["info", "--model", str(janus)], None),
        (["serve", f"--model={ours}"], "[serve]"),
        (["draw", "a cat", f"--model={mixed}"], "[serve,train]"),  # Janus: the next test
    ):
        call(house, *arguments)
        pip = [line for line in calls(house) if "-m pip" in line]
        assert [line.endswith(f"house with spaces{extras}") for line in pip] == ([] if extras is None else [True])


@pytest.mark.parametrize("name", ["janus", "pipeline", "described"])
def test_so_does_one_that_is_named(house, tmp_path, name):
    (tmp_path / "shelf" / name).mkdir(parents=True)
    file = {"janus": "config.json", "described": "lantu_layout.json"}.get(name, "model_index.json")
    (tmp_path / "shelf" / name / file).write_text('{"_class_name": "GlmImagePipeline"}')
    call(house, "caption", "a.png", "--model", name, LANTU_MODELS=f"/nowhere:{tmp_path / 'shelf'}")
    assert any(line.endswith("[serve,train]") for line in calls(house))


@pytest.mark.parametrize("command", [["draw", "a cat"], ["info"]])
def test_so_does_the_id_of_a_model_on_the_hub(house, command):
    call(house, *command, "--model", "deepseek-community/Janus-Pro-1B@main")
    assert any(line.endswith("[serve,train]") for line in calls(house))


def test_a_folder_of_two_names_is_no_id(house, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("models/mine").mkdir(parents=True)
    call(house, "info", "--model", "models/mine")
    assert not any(line.endswith("[serve,train]") for line in calls(house))
