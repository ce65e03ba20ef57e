"""Runs lantu, and scripts of the stacks in environments of their own: the shipped model, real data, real packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
STACKS = REPOSITORY / "benchmarks" / "stacks"
MODEL = REPOSITORY / "models" / "lantu-emoji"


def lantu(*arguments):
    """A command of lantu; gives its JSON."""
    command = [sys.executable, "-P", "-m", "lantu", *map(str, arguments), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    if done.returncode == 2 and "check the network" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def environment(stack):
    """The python of a stack's environment; without a package registry the test is skipped, and says so."""
    command = [sys.executable, str(STACKS / "environment.py"), stack]
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=3600)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def in_environment(python, *arguments, processes=1):
    """Run a script of the stacks where lantu is not installed; gives the JSON of its last line."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [python, *(launcher if processes > 1 else []), *map(str, arguments)]
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    variables |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=variables, cwd=STACKS, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def draws(language, folder):
    """Whether a language directory opens in lantu, with the shipped tokenizer and decoder, and draws."""
    parts = ["--tokenizer", MODEL, "--language", language, "--decoder", MODEL]
    lantu("assemble", *parts, "--out", folder / "model", "--no-tune")
    told = lantu("draw", "a cat", "--model", folder / "model", "--seed", 1, "-o", folder / "cat.png")
    return told["tokens"] == 64 and (folder / "cat.png").stat().st_size > 0
