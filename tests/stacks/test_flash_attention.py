"""torch's flash kernel against the plain one, on the shipped language model."""

import json
import subprocess
import sys

import pytest
from stacks_running import STACKS


@pytest.mark.slow
def test_equal_outputs_in_less_memory():
    command = [sys.executable, STACKS / "flash_attention.py", "--lengths", "128", "1024", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    tolerance = 1e-5 if told["dtype"] == "float32" else 5e-2
    for row in told["rows"]:
        assert any("flash" in kernel for kernel in row["kernels"])
        assert row["logits"] < tolerance
        assert row["gradients"] < tolerance
    assert told["rows"][-1]["training_flash_mb"] < 0.8 * told["rows"][-1]["training_plain_mb"]
