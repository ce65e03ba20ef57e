"""The environments of the stacks, where there is no package registry."""

import os
import subprocess
import sys

import pytest

from lantu import files


@pytest.mark.slow
def test_without_a_registry_it_says_so_and_leaves_nothing_to_trust(tmp_path):
    command = [sys.executable, "benchmarks/stacks/environment.py", "megatron"]
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    root = files.__file__.partition("/src/")[0]
    variables = {**os.environ, "LANTU_CACHE": str(tmp_path), **nowhere, "PYTHONPATH": f"{root}/src"}
    done = subprocess.run(command, env=variables, cwd=root, capture_output=True, text=True)
    assert done.returncode == 3
    assert "no package registry gives torch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "stacks" / "megatron" / "installed.txt").exists()
