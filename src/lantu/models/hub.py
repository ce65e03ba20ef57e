"""Finds models by name or folder."""

import contextlib
import os
from pathlib import Path

from lantu.errors import DiskError, ModelError
from lantu.files import cache_dir, expand
from lantu.models import registry
from lantu.models.spec import ModelFolder

DEFAULT = "lantu-emoji"


def shelves() -> list[Path]:
    """The folders that are searched for models by name; the first match wins.

    ``$LANTU_MODELS`` (one or more, as in ``$PATH``), ``models/`` of a checkout or ``shipped/`` of an installed package,
    and the cache.
    """
    named = [expand(place) for place in os.environ.get("LANTU_MODELS", "").split(os.pathsep) if place]
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1]
    shipped = checkout / "models" if (checkout / "pyproject.toml").is_file() else package / "shipped"
    places = [*named, shipped]
    with contextlib.suppress(DiskError):  # without a home directory there is no cache
        places.append(cache_dir() / "models")
    return places


def find(model: str | Path | None = None) -> ModelFolder:
    """A model by its name or its folder.

    Raises:
        ModelError: there is no such model, or it is incomplete.
    """
    name = str(model) if model is not None else DEFAULT
    path = expand(name)
    if model is not None and path.is_dir():
        return registry.open_folder(path)
    if len(path.parts) == 1:
        for shelf in shelves():
            if (shelf / name).is_dir():
                return registry.open_folder(shelf / name)
    there = ", ".join(folder.name for folder in every())
    raise ModelError(
        f"no model called {name}", f"choose one of {there}, or give a folder" if there else "give a folder"
    )


def every() -> list[ModelFolder]:
    """All complete models on the shelves, each name once."""
    found: dict[str, ModelFolder] = {}
    for shelf in shelves():
        for path in sorted(shelf.glob("*/")):
            try:
                found.setdefault(path.name, registry.open_folder(path))
            except ModelError:
                continue
    return list(found.values())
