"""What ``import lantu`` gives, frozen: a change here is a change for every user."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lantu
from lantu.errors import LantuError
from lantu.types import Picture


def test_exported_names():
    assert sorted(lantu.__all__) == ["LantuError", "Model", "Picture", "__version__", "load"]
    assert dir(lantu) == sorted(lantu.__all__)


def test_names_resolve():
    assert lantu.LantuError is LantuError
    assert lantu.Picture is Picture
    assert callable(lantu.load)
    assert lantu.Model.__name__ == "Model"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        lantu.Nothing  # noqa: B018


def test_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert lantu.__version__ == project["version"]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import lantu", "numpy"),
        ("import lantu.cli", "numpy"),
        ("import lantu.cli", "rich.console"),
        ("import lantu.cli", "torch"),
        ("import lantu.pipeline", "transformers"),
        ("import lantu.pipeline", "diffusers"),
    ],
)
def test_imports_stay_light(statement, absent):
    code = f"import sys; {statement}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
