"""Finds models by folder, name or hub id."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from lantu.errors import DiskError, ModelError
from lantu.files import cache_dir, expand
from lantu.models import registry
from lantu.models.download import fetch, is_id
from lantu.models.spec import ModelFolder

DEFAULT = "lantu-emoji"

__all__ = ["DEFAULT", "every", "fetch", "find", "is_id", "locate", "shelves"]


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


def locate(model: str | Path, parts: Sequence[str] = ()) -> Path:
    """The folder of a model, or of a part of one: a folder, a name on a shelf, or an id of the Hugging Face hub.

    A folder wins over a name, a name over an id.

    Args:
        parts: see ``download.fetch``.

    Raises:
        ModelError: there is no such model.
        LantuError, DiskError: it can't be downloaded; see ``download.fetch``.
    """
    name = str(model)
    path = expand(name)
    if path.is_dir():
        return path
    if len(path.parts) == 1 and (there := on_shelf(name)):
        return there
    if is_id(name) and not path.exists():
        return fetch(name, parts)
    raise unknown(name)


def on_shelf(name: str) -> Path | None:
    """The folder of that name on the first shelf that has one."""
    return next((shelf / name for shelf in shelves() if (shelf / name).is_dir()), None)


def unknown(name: str) -> ModelError:
    """The error for a name that is nowhere."""
    there = ", ".join(folder.name for folder in every())
    hint = f"choose one of {there}, or give a folder" if there else "give a folder"
    return ModelError(f"no model called {name}", f"{hint}, or the id of a model on the Hugging Face hub (owner/name)")


def find(model: str | Path | None = None) -> ModelFolder:
    """A model by its folder, its name or its hub id; by default the shipped one.

    Raises:
        ModelError: there is no such model, or it is incomplete.
        LantuError, DiskError: it can't be downloaded; see ``download.fetch``.
    """
    path = on_shelf(DEFAULT) if model is None else locate(model)
    if path is None:
        raise unknown(DEFAULT)
    return registry.open_folder(path)


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
