"""The training cost of a part, over all the runs that led to it."""

import json
from pathlib import Path
from typing import Any

from lantu.models.lantu.directory import CONTROL, UPSCALER
from lantu.training.checkpoint import numbered

Budget = dict[str, float]  # steps, samples, hours


def budget_of(source: Path, part: str) -> Budget | None:
    """The cost of a run, or of a part of a model directory; None if it is unknown.

    Args:
        source: a source as ``part_folder`` takes it.
    """
    if not (source / "checkpoints").is_dir():
        return kept(source, part)
    try:
        options = json.loads((source / "config.json").read_text(encoding="utf-8"))
        state = json.loads((numbered(source / "checkpoints")[0] / "state.json").read_text(encoding="utf-8"))
        loop = options["loop"]
        steps, samples = state["step"], state["step"] * loop["batch_size"] * loop["accumulate"]
        own = {"steps": steps, "samples": samples, "hours": round(state["train_s"] / 3600, 2)}
        # What is trained for a decoder begins beside it, and that one's cost is not its own.
        before = options.get(part if part in (CONTROL, UPSCALER) else "start") or ""
    except (OSError, ValueError, KeyError, IndexError):
        return None
    former = budget_of(run_of(Path(before)), part) if before else None
    return {name: round(value + (former or {}).get(name, 0), 2) for name, value in own.items()}


def kept(folder: Path, part: str) -> Budget | None:
    """The cost of a part in the index of a model directory; ``folder`` is the directory, or the part's folder in it."""
    for place in (folder, folder.parent):
        try:
            index: dict[str, Any] = json.loads((place / "model_index.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        budget = index.get("budget") if isinstance(index, dict) else None
        return budget.get(part) if isinstance(budget, dict) else None
    return None


def run_of(folder: Path) -> Path:
    """The run that exported a part's folder; the folder itself if there is none."""
    return folder.parent if (folder.parent / "checkpoints").is_dir() else folder
