"""The only place that joins data, model and loop. A recipe is a typed function; its variants are differences."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.errors import RecipeError

if TYPE_CHECKING:
    from lantu.pipeline import Model
    from lantu.training.loop import Summary
    from lantu.training.measure import Measured

MODULES = {
    "tokenizer": ("tokenizer",),
    "language": ("language", "guidance_distillation", "multitask", "grpo", "masked"),
    "decoder": ("decoder", "consistency", "distribution_matching"),
    "control": ("control",),
}
PARTS = tuple(MODULES)
FORMER = {  # names of lantu 0.1, which commands and runs may still use
    "guided": "guidance_distillation",
    "guided-debug": "guidance_distillation-debug",
    "matching": "distribution_matching",
    "matching-debug": "distribution_matching-debug",
    "mixture": "multitask",
    "mixture-debug": "multitask-debug",
    "reward": "grpo",
}


def names(part: str) -> list[str]:
    """The recipes of a part.

    Raises:
        RecipeError: there is no such part.
    """
    return sorted(name for module in modules(part) for name in module.RECIPES)


def train(
    part: str,
    recipe: str,
    data: str | Path,
    out: str | Path,
    overrides: Sequence[str] = (),
    resume: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> "Summary | Measured":
    """Train one part by a recipe.

    Args:
        part: "tokenizer", "language" or "decoder".
        data: folder that `lantu data build` wrote.
        out: folder of the run.
        overrides: ``key=value`` settings of the recipe, e.g. ``loop.steps=1000``.
        resume: go on with the run in ``out``, with its own settings but for those of ``overrides`` that may change.
        dry_run: measure a few steps, write nothing, and tell what a run would cost.

    Raises:
        RecipeError: an unknown part, recipe or setting; there is a run in ``out`` already, or other things; there is
            none to resume, or it was given other data or another tokenizer.
        DataError: the data is missing or of another kind.
    """
    from lantu.recipes import identity, runs
    from lantu.recipes.codes import unkept
    from lantu.training.config import override
    from lantu.training.loop import train as run
    from lantu.training.measure import measure

    if recipe in FORMER:
        print(f"the recipe {recipe} is called {FORMER[recipe]} now", file=sys.stderr, flush=True)
        recipe = FORMER[recipe]
    found = next((module for module in modules(part) if recipe in module.RECIPES), None)
    if not found:
        raise RecipeError(f"no {part} recipe called {recipe}", f"choose one of {', '.join(names(part))}")
    plain, changes, folder = found.RECIPES[recipe](), [f"loop.device={device}", *overrides], Path(out)
    before = (runs.read(folder) or {}).get(runs.IDENTITY, {}) if resume else {}
    named = {"part": part, "recipe": recipe}
    if before.get("recipe") in FORMER:
        before = {**before, "recipe": FORMER[before["recipe"]]}
    identity.compare(named, {name: before[name] for name in named if name in before}, folder)
    if not resume and not dry_run:
        runs.check_new(folder)
    settings = runs.located(runs.restored(plain, folder, changes) if resume else override(plain, changes))
    made_of = identity.of(part, recipe, settings, data)
    if resume and not before:
        runs.log.warning(f"the run in {folder} doesn't say what it was made of: data and parts are taken on trust")
    identity.compare(made_of, before, folder)
    if dry_run:
        with unkept():
            task = found.Task(settings, Path(data))
        for step in range(7 * settings.loop.accumulate):  # so that codes that are made on the way are not measured
            task.batch(step, settings.loop.batch_size)
        tell(task)
        return measure(task, settings.loop)
    options = {**settings.model_dump(), "data": str(Path(data).resolve()), runs.IDENTITY: made_of}
    if resume and hasattr(settings, "resumed") and any(folder.glob("checkpoints/step-*")):
        settings = settings.resumed()
    task = found.Task(settings, Path(data))
    tell(task)
    return run(task, settings.loop, out, resume=resume, progress=progress, options=options)


def tell(task: Any) -> None:
    """Say what a task has to say of its data."""
    for note in getattr(task, "notes", ()):
        print(note, file=sys.stderr, flush=True)


def modules(part: str) -> list[Any]:
    """The modules of a part's recipes: each has its RECIPES, and the Task that they set up.

    Raises:
        RecipeError: there is no such part.
    """
    import importlib

    if part not in MODULES:
        raise RecipeError(f"nothing called {part} can be trained", f"choose one of {', '.join(PARTS)}")
    return [importlib.import_module(f"lantu.recipes.{name}") for name in MODULES[part]]


def evaluate(model: "Model", *arguments: Any, **settings: Any) -> dict[str, dict[str, Any]]:
    """Score a model on named suites: see ``lantu.recipes.scores``."""
    from lantu.recipes.scores import evaluate as run

    return run(model, *arguments, **settings)
