"""Trains a part of a compared system: from the start, from a checkpoint, or from the end of a shorter training."""

import json
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lantu.errors import RecipeError
from lantu.files import FolderKind, discard, locked, replacing_folder, write_json
from lantu.recipes import module_of, train
from lantu.recipes.compare.planning import Training
from lantu.recipes.compare.work import LOGS
from lantu.training.checkpoint import BEFORE_DECAY, BEST, FOLDER_KIND, KINDS, numbered, resumable
from lantu.training.logs import read_log
from lantu.training.validation import RISEN

RUNS, FACTS = "runs", "facts.json"
MIN_LINES = 10  # of a log, whose median is taken: fewer lines of a diffusion's loss differ by chance alone
EXTENDED_FILES = ("config.json", "log.jsonl")  # of a shorter run, beside its checkpoint before the decay
KIND = FolderKind("a run", ("config.json",), ("config.json", "log.jsonl", f"checkpoints/{BEFORE_DECAY}/*"))


def run_training(work: Path, training: Training, data: str, device: str) -> dict[str, Any]:
    """Train, from where an earlier call was stopped.

    Returns:
        "steps", "flops", "train_s", "diverged" (why, or ""), "loss", "validation", and "norms", (step, loss, norm of
        the gradient) over the run. One that was interrupted has "reason": "interrupted".
    """
    (work / LOGS).mkdir(parents=True, exist_ok=True)
    # A process of a call that was killed may still write its checkpoint.
    with locked(work / LOGS / f"{training.key}.lock"):
        return trained(work, training, data, device)


def trained(work: Path, training: Training, data: str, device: str) -> dict[str, Any]:
    """See ``run_training``."""
    run = work / RUNS / training.key
    if (run / FACTS).is_file():
        return json.loads((run / FACTS).read_text(encoding="utf-8"))
    if lost := [key for key in training.takes.values() if not (work / RUNS / key / "model").is_dir()]:
        return {"steps": 0, "flops": training.flops, "diverged": f"{lost[0]} came to nothing"}
    if training.grows_from and not run.exists():
        grow(work / RUNS / training.grows_from, run)
    named = [f"{setting}={work / RUNS / key}" for setting, key in training.takes.items()]
    there = bool(resumable(run / "checkpoints"))
    changes = [*training.overrides, *named]
    if there:  # all else is as the run has it
        free = ("loop.steps=", "loop.log_every=", "loop.validate_every=", "loop.sample_every=")
        changes = [*(change for change in changes if change.startswith(free)), *named]
    try:
        done: Any = train(training.part, training.recipe, data, run, changes, there, False, device, progress=False)
    except RecipeError as problem:
        if "gradient" not in problem.message:
            raise
        return {"steps": training.steps, "flops": training.flops, "diverged": problem.message} | seen(run)
    facts = {"steps": done.step, "flops": training.flops, "train_s": done.train_s, "reason": done.reason}
    facts |= {"diverged": diverged(run, training)} | seen(run)
    if done.reason == "finished":
        write_json(run / FACTS, facts)
        prune(run / "checkpoints", training.grows)
    return facts


def prune(checkpoints: Path, grows: bool) -> None:
    """Remove the tensors of a finished run's checkpoints, hundreds of megabytes that the exported model doesn't need.

    Args:
        grows: keep those that a longer run goes on from.
    """
    for path in numbered(checkpoints):  # what it has cost stays
        for kind in KINDS:
            shutil.rmtree(path / kind, ignore_errors=True)
    for name in (BEST, *(() if grows else (BEFORE_DECAY,))):
        if (checkpoints / name).is_dir():
            discard(checkpoints / name, FOLDER_KIND)


def grow(shorter: Path, run: Path) -> None:
    """Start a run from the end of a shorter one's stable phase, which gives the same weights as one long run.

    Up to there a run knows nothing of its length (``lantu.training.schedule``); a test compares the weights.
    """
    if not (shorter / "checkpoints" / BEFORE_DECAY).is_dir():
        return  # it has no decay: this one starts from the beginning
    with replacing_folder(run, KIND) as temporary:
        temporary.mkdir(parents=True)
        for name in EXTENDED_FILES:
            shutil.copyfile(shorter / name, temporary / name)
        shutil.copytree(shorter / "checkpoints" / BEFORE_DECAY, temporary / "checkpoints" / BEFORE_DECAY)


def seen(run: Path) -> dict[str, Any]:
    """Losses and norms of gradients by a run's log; of several networks, of the first."""
    log = read_log(run)
    norms = [[line["step"], line.get("loss"), line.get("grad_norm")] for line in log if "loss" in line]
    validated = [line["val_loss"] for line in log if isinstance(line.get("val_loss"), int | float)]
    return {"loss": norms[-1][1] if norms else None, "validation": validated[-1:] or None, "norms": norms}


def diverged(run: Path, training: Training) -> str:
    """Why a run counts as diverged: updates were lost, or its loss ended far above its least; "" if it doesn't.

    Losses are medians of a tenth of the log: single lines of a diffusion's loss vary by more.
    """
    log = [line for line in read_log(run) if "loss" in line]
    if not log:
        return "it has no loss"
    if log[-1].get("loss") is None or log[-1].get("skipped"):
        return f"{log[-1].get('skipped', 0)} updates had no finite gradient"
    warm = warmup_of(training)
    losses = [line["loss"] for line in log if line["step"] > warm and line.get("loss") is not None]
    width = max(MIN_LINES, len(losses) // 10)
    medians = [statistics.median(losses[place : place + width]) for place in range(len(losses) - width + 1)]
    if len(losses) < 2 * width or min(medians) <= 0 or medians[-1] < RISEN * min(medians):
        return ""
    return f"the loss has risen from {min(medians):.3g} to {medians[-1]:.3g}"


def warmup_of(training: Training) -> int:
    """Steps over which its rate rises."""
    settings: Mapping[str, str] = dict(each.split("=", 1) for each in training.overrides)
    plain = module_of(training.part, training.recipe).RECIPES[training.recipe]()
    return int(settings.get("loop.warmup_steps", plain.loop.warmup_steps))
