"""No change of one number, header or file of a model makes lantu crash, hang, leave the folder or draw in silence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fuzzing
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="changes are tried in forked processes")


def findings(model: Path, place: Path, seed: int, count: int, **environment: str) -> list[str]:
    """What went wrong in so many random changes."""
    command = [sys.executable, fuzzing.__file__, str(model), str(place), str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == count, done.stderr[-2000:]
    assert sum(2 in result["ends"] for result in results) > count / 2, "nearly nothing is refused"
    return [f"{result['change']}: {result['wrong']}" for result in results if result["wrong"]]


def test_random_changes(small_model, tmp_path):
    assert findings(small_model, tmp_path, 0, 50) == []


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["", "numpy"])
def test_many_random_changes(small_model, tmp_path, kernels):
    assert findings(small_model, tmp_path, 1, 500 if not kernels else 100, LANTU_KERNELS=kernels) == []
