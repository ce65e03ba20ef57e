"""The package as pip installs it: away from the checkout, offline, with the shipped model in it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.network]  # building and installing fetch setuptools and NumPy


def pip(*arguments, **environment):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, capture_output=True, env=clean | environment, cwd=REPOSITORY)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "-w", str(place), str(REPOSITORY))
    return next(place.glob("*.whl"))


def installed(place: Path, package: Path, **environment) -> Path:
    """The python of a new environment with the package and what it needs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    pip("--python", str(python), "install", str(package), **environment)
    return python


def draw(python: Path, place: Path) -> subprocess.CompletedProcess:
    place.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place / "no-such-home")}
    command = [python, "-P", "-m", "lantu", "draw", "a cat", "--seed", "1", "-o", str(place / "cat.png")]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120)


def test_a_wheel_carries_the_shipped_model(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    models = REPOSITORY / "models"
    for path in models.rglob("*"):
        if path.is_file():
            assert f"lantu/shipped/{path.relative_to(models)}" in names
    assert "lantu/py.typed" in names


def test_an_installed_wheel_draws_what_the_checkout_draws(wheel, tmp_path):
    import lantu

    python = installed(tmp_path / "venv", wheel)
    done = draw(python, tmp_path / "away")
    assert done.returncode == 0, done.stderr
    code = "import lantu; print(lantu.load().draw('a cat', seed=1).codes.tolist(), lantu.__version__)"
    how = {"capture_output": True, "text": True, "cwd": tmp_path, "env": {"PATH": "/usr/bin:/bin"}}
    told = subprocess.run([python, "-P", "-c", code], check=True, **how).stdout
    assert told.strip() == f"{lantu.load().draw('a cat', seed=1).codes.tolist()} {lantu.__version__}"


def test_without_a_compiler_numpy_draws_and_says_so_once(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    pip("install", "build", "--target", str(tmp_path / "build"))
    command = [sys.executable, "-m", "build", "--sdist", "-o", str(source), str(REPOSITORY)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "build")}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    python = installed(tmp_path / "venv", next(source.glob("*.tar.gz")), CC="/bin/false", CXX="/bin/false")
    done = draw(python, tmp_path / "away")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("NumPy computes") == 1
