"""Existing runs: whether a run may begin in a folder, and with which settings one is resumed.

RUN/config.json holds the settings of the recipe and, as "identity", what the run is made of (``identity``).
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lantu.errors import DiskError, RecipeError
from lantu.recipes.identity import AUTOENCODER, DATA, PARTS
from lantu.recipes.sources import BEGINNINGS
from lantu.training.checkpoint import resumable
from lantu.training.config import override

log = logging.getLogger(__name__)

IDENTITY = "identity"
NOTES = (IDENTITY, "data")  # entries of config.json that are not settings
# Everything that a run writes.
OWN = ("config.json", "log.jsonl", "tensorboard", "samples", "checkpoints", "model", "last", "adapter")
# Settings that may change when a run is resumed: length, speed and logging, but not data or sizes.
FREE = {
    *("steps", "minutes", "in_time", "decay_fraction", "lr", "lr_scale", "clip_norm", "weight_decay"),
    *("precision", "compile", "device"),
    *("checkpoint_every_s", "log_every", "sample_every", "validate_every", "validated", "patience", "kept"),
}
NAMING = {"tokenizer", "text", "codec", AUTOENCODER, *PARTS, *DATA}  # settings whose content is compared, not the path


def read(folder: Path) -> dict[str, Any] | None:
    """The config.json of the run in ``folder``; None if there is no run."""
    try:
        options = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return options if {"steps", "batch_size"} <= options["loop"].keys() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def identity_of(folder: Path) -> dict[str, str]:
    """What the run in ``folder`` is made of, as it says itself (``identity.of``); {} if it says nothing."""
    identity = (read(folder) or {}).get(IDENTITY)
    return {str(name): str(value) for name, value in identity.items()} if isinstance(identity, dict) else {}


def recipe_of(folder: Path) -> str:
    """The name of the recipe of the run in ``folder``; "" if it says nothing."""
    return identity_of(folder).get("recipe", "")


def check_new(folder: Path) -> None:
    """Refuse to begin a run where it would overwrite something.

    A run that was killed before its first checkpoint has nothing to lose, and begins again.

    Raises:
        RecipeError: there is a run already, or other files by the names that a run writes.
        DiskError: ``folder`` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise DiskError(f"{folder} is a file", "name a folder for the run")
    if resumable(folder / "checkpoints"):
        raise RecipeError(f"there is a run in {folder} already", "resume it with --resume, or choose another folder")
    if read(folder) is None and (there := [name for name in OWN if (folder / name).exists()]):
        what = f"{folder} holds other files that a run would overwrite ({', '.join(there)})"
        raise RecipeError(what, "choose another folder with --out")


def restored(recipe: BaseModel, folder: Path, overrides: Sequence[str]) -> Any:
    """The settings with which the run in ``folder`` is resumed: its own, with the allowed changes.

    Args:
        recipe: the recipe that it is trained by.
        overrides: ``key=value`` settings to change.

    Raises:
        RecipeError: there is no run, it is of another recipe, or a setting may not change any more.
    """
    options = read(folder)
    if options is None:
        raise RecipeError(f"there is no run in {folder} to resume", "leave out --resume to begin one")
    own = {name: value for name, value in options.items() if name not in NOTES}
    try:
        before = recipe.__class__(**own)
    except ValidationError as problem:
        where = ".".join(map(str, problem.errors()[0]["loc"]))
        raise RecipeError(f"the run in {folder} is of another recipe ({where})", "name its --recipe") from problem
    after = override(before, overrides)
    changes = dict(differences(before.model_dump(), after.model_dump()))
    for name, (was, is_) in changes.items():
        place, _, last = name.rpartition(".")
        if name in NAMING or (place == "loop" and last in FREE):
            continue
        hint = f"leave out {name}, or begin a new run in another folder"
        raise RecipeError(f"{name} is {was!r} in the run in {folder}, and can't be changed to {is_!r}", hint)
    return after


def log_changes(folder: Path, after: BaseModel) -> None:
    """Log which settings of the run in ``folder`` are changed, once nothing is left to refuse."""
    own = {name: value for name, value in (read(folder) or {}).items() if name not in NOTES}
    before = after.__class__(**own)
    for name, (was, is_) in differences(before.model_dump(), after.model_dump()):
        if name not in NAMING and name != "loop.device":
            log.warning(f"{name} is changed from {was} to {is_}")


def differences(before: dict[str, Any], after: dict[str, Any], within: str = "") -> list[tuple[str, tuple[Any, Any]]]:
    """Dotted name → old and new value, of the settings that differ."""
    found = []
    for name, value in after.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict) and not within:
            found += differences(was, value, f"{within}{name}.")
        elif value != was:
            found.append((within + name, (was, value)))
    return found


def located(settings: Any) -> Any:
    """The settings with absolute paths of the folders that they name, so that a run is resumed from any directory."""
    return settings.model_copy(update={name: str(path.absolute()) for name, path in named(settings).items()})


def named(settings: Any) -> dict[str, Path]:
    """The folders that settings name, by the name of the setting."""
    values = {name: getattr(settings, name, "") for name in NAMING}
    return {name: Path(v) for name, v in values.items() if v and v not in BEGINNINGS and Path(v).exists()}
