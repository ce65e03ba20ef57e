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
        ("import lantu", {"numpy", "typer"}),
        ("import lantu.cli", {"numpy", "torch", "rich.console"}),
        (
            "import lantu.pipeline, lantu.models.loader",
            {"torch", "pydantic", "safetensors", "transformers", "diffusers"},
        ),
    ],
)
def test_imports_stay_light(statement, absent):
    code = f"import sys; {statement}; print(*({absent!r} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == ""


def test_public_members_of_a_model():
    """What users use, and no more."""
    members = [name for name in vars(lantu.Model) if not name.startswith("_")]
    assert sorted(members) == [
        "caption",
        "chat",
        "digest",
        "draw",
        "draw_all",
        "draw_many",
        "edit",
        "info",
        "load",
        "name",
        "open",
        "render",
        "size",
        "sizes",
        "stream",
        "tokenize",
    ]
