"""The layouts that come with lantu, and the published directories that they belong to."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import read_json, shown
from lantu.models.plain.description import FILE, HINT, Description

LAYOUTS = Path(__file__).parent / "layouts"


@cache
def shipped() -> dict[str, Mapping[str, Any]]:
    """The layouts in ``layouts/`` by name, unchecked."""
    return {path.stem: read_json(path) for path in sorted(LAYOUTS.glob("*.json"))}


def recognise(folder: Path) -> bool:
    """Whether a directory has a layout file, or a config.json that one of lantu's own layouts belongs to."""
    return (folder / FILE).is_file() or layout_of(folder) is not None


def describe(folder: Path) -> Description:
    """How a model draws.

    Raises:
        ModelError: its layout file is wrong, or it has none and is unknown.
    """
    path = folder / FILE
    if not path.is_file():
        if found := layout_of(folder):
            return Description.of(shipped()[found], f"layout {found}")
        raise ModelError(f"{folder} has no {FILE}, and none of lantu's own belongs to it", f"write one: {HINT}")
    try:
        content = read_json(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read as JSON ({problem})", HINT) from problem
    like = content.pop("like", None)
    if like is not None and (not isinstance(like, str) or like not in shipped()):
        raise ModelError(f'{path} has "like" {shown(like)}', f"known are {', '.join(shipped())}")
    return Description.of({**(shipped()[like] if like else {}), **content}, str(path))


def layout_of(folder: Path) -> str | None:
    """The name of the layout of lantu's own that belongs to a published directory."""
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError):
        return None
    return next((name for name, each in shipped().items() if belongs(each.get("recognise", {}), config)), None)


def belongs(wanted: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a config has all wanted values, alone or in a list."""
    return bool(wanted) and all(
        config.get(name) == value or (isinstance(config.get(name), list) and value in config[name])
        for name, value in wanted.items()
    )
