"""Conformance with the real ``openai`` client: the installed version, and (slow) each major version."""

import subprocess
import sys
from pathlib import Path

import pytest
from conformance import main
from running import serving

SCRIPT = Path(__file__).with_name("conformance.py")


def test_the_installed_client(server):
    main(server.url)


def test_a_model_that_only_draws(plain_model, monkeypatch):
    monkeypatch.setenv("LANTU_API_KEY", "secret")
    with serving(plain_model, keys=("other", "secret")) as running:
        main(running.url)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("major", [1, 2, 3])
def test_each_major_version(server, major, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    python = tmp_path / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", f"openai>={major},<{major + 1}"], check=True)
    done = subprocess.run([python, SCRIPT, server.url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
