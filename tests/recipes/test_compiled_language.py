"""A language model that is compiled learns what it learns uncompiled, and a resumed run goes on exactly."""

import json
import os
import subprocess
import sys

import pytest


def train(out, tiny_model, data, *more):
    """In a process of its own: a resumed run has nothing of the first one's compiled code."""
    changes = ["loop.steps=10", "loop.log_every=1", "loop.warmup_steps=1", "loop.validate_every=0", *more]
    settings = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "lantu", "train", "language", "--recipe", "debug", "--data", str(data)]
    command += ["--tokenizer", str(tiny_model / "tokenizer"), "--out", str(out), "--device", "cpu", *settings]
    command += ["--resume"] if out.exists() else []
    own = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    subprocess.run(command, check=True, capture_output=True, env=os.environ | own)
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_compiled_run_that_is_resumed_is_as_if_unbroken(tiny_model, captioned_data, tmp_path):
    args = tiny_model, captioned_data
    plain = train(tmp_path / "plain", *args, "loop.compile=false")
    whole = train(tmp_path / "whole", *args, "loop.compile=true")
    train(tmp_path / "broken", *args, "loop.compile=true", "loop.minutes=0")
    resumed = train(tmp_path / "broken", *args, "loop.compile=true", "loop.minutes=null")
    assert len(whole) == 10
    assert resumed == whole
    assert whole == pytest.approx(plain, rel=2e-3)
