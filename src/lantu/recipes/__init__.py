"""Recipes: where data, model and training loop meet. A recipe is a function that returns typed settings; variants are
written as changes to another recipe."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lantu.errors import RecipeError
from lantu.kernels import mkl

if TYPE_CHECKING:
    from lantu.engine.sampling_params import Overrides
    from lantu.pipeline import Model
    from lantu.training.loop import Summary
    from lantu.training.measure import Measured
    from lantu.training.task import Task

mkl.use_avx2()  # before any recipe imports torch

MODULES = {
    "tokenizer": ("tokenizer", "tokenizer_designs"),
    "language": (
        *("language", "finetune", "adopted_language", "guidance_distillation", "multitask", "grpo", "masked"),
        *("cm3leon", "cm3leon_instruct", "compared_language"),
    ),
    "decoder": (
        *("decoder", "consistency", "distribution_matching"),
        *("pretrained_decoder", "pretrained_consistency", "pretrained_matching"),
    ),
    "control": ("control", "pretrained_control"),
    "upscaler": ("upscaler",),
    "rival": (
        *("rivals.pixel_ar", "rivals.autoencoder", "rivals.text_encoder_diffusion"),
        *("rivals.vq_diffusion", "rivals.continuous"),
    ),
}
PARTS = tuple(MODULES)
FORMER = {  # name in lantu 0.1, still accepted → name of today
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
    devices: int = 1,
    gigabytes_per_s: float | None = None,
) -> "Summary | Measured":
    """Train one part of a model.

    Args:
        part: "tokenizer", "language", "decoder", "control", "upscaler", or "rival": a whole model of another paradigm.
        recipe: one of ``names(part)``.
        data: folder that ``lantu data build`` wrote.
        out: folder of the run.
        overrides: ``key=value`` settings of the recipe, e.g. ``loop.steps=1000``.
        resume: continue the run in ``out`` with its own settings; ``overrides`` may change some of them.
        dry_run: measure a few updates and estimate what a run would cost; nothing is written.
        devices, gigabytes_per_s: of a dry run: simulate so many, each of which can receive so much.

    Raises:
        RecipeError: an unknown part, recipe or setting; ``out`` already holds a run or other files; there is no run to
            resume, or it was trained on other data or with another tokenizer.
        DiskError: ``out`` lies in a part that is read.
        DataError: the data is missing or of another kind.
    """
    from lantu import files
    from lantu.recipes import identity, overruled, runs
    from lantu.recipes.training_memory import check_memory
    from lantu.training.checkpoint import resumable
    from lantu.training.config import override
    from lantu.training.loop import train as run

    recipe = current_name(recipe)
    module = module_of(part, recipe)
    plain, changes, folder = module.RECIPES[recipe](), [f"loop.device={device}", *overrides], Path(out)
    before = runs.identity_of(folder) if resume else {}
    if "recipe" in before:
        before["recipe"] = FORMER.get(before["recipe"], before["recipe"])
    named = {"part": part, "recipe": recipe}
    identity.compare(named, {name: value for name, value in before.items() if name in named}, folder)
    if not resume and not dry_run:
        runs.check_new(folder)
    settings = runs.located(runs.restored(plain, folder, changes) if resume else override(plain, changes))
    if not resume:
        overruled.check(part, settings, overrides)
    files.check_apart(folder, runs.named(settings), replaced=False)
    made_of = identity.of(part, recipe, settings, data)
    if resume and not before:
        runs.log.warning(f"the run in {folder} doesn't record its data and parts: they are not checked")
    identity.compare(made_of, before, folder)
    if before:
        identity.check_added(made_of, before, folder, runs.read(folder) or {})
    if resume:
        runs.log_changes(folder, settings)
    if dry_run:
        return estimate(module, settings, Path(data), devices, gigabytes_per_s)
    options = {**settings.model_dump(), "data": str(Path(data).resolve()), runs.IDENTITY: made_of}
    if resume and resumable(folder / "checkpoints"):
        settings = settings.resumed()
    task = module.Task(settings, Path(data))
    check_memory(task, settings.loop)
    show_notes(task)
    return run(task, settings.loop, out, resume=resume, progress=progress, options=options)


def estimate(
    module: Any, settings: Any, data: Path, devices: int = 1, gigabytes_per_s: float | None = None
) -> "Measured":
    """What a run would cost, from a few updates; nothing is written."""
    from dataclasses import replace

    from lantu.recipes.codes import unkept
    from lantu.recipes.training_memory import check_memory
    from lantu.training.measure import measure
    from lantu.training.simulated import GIGABYTES_PER_S, simulate

    with unkept():
        task = module.Task(settings, data)
    check_memory(task, settings.loop)
    for step in range(7 * settings.loop.accumulate):  # so that making missing codes is not measured
        task.batch(step, settings.loop.batch_size)
    show_notes(task)
    if devices == 1:
        return measure(task, settings.loop)
    measured = measure(task, settings.loop.model_copy(update={"tensor_parallel": 1}))
    rate = gigabytes_per_s or GIGABYTES_PER_S
    return replace(measured, simulated=simulate(task, settings.loop, devices, rate))


def current_name(recipe: str) -> str:
    """A recipe's name of today; says so on stderr if ``recipe`` is a former one."""
    if recipe not in FORMER:
        return recipe
    print(f"the recipe {recipe} is called {FORMER[recipe]} now", file=sys.stderr, flush=True)
    return FORMER[recipe]


def show_notes(task: "Task") -> None:
    """Print what a task says about its data to stderr, as warnings: ``make`` passes them on."""
    from lantu.training.progress import WARNING

    for note in task.notes:
        print(f"{WARNING}{note}", file=sys.stderr, flush=True)


def module_of(part: str, recipe: str) -> Any:
    """The module of a part's recipe.

    Raises:
        RecipeError: there is no such part or recipe.
    """
    for module in modules(part):
        if recipe in module.RECIPES:
            return module
    raise RecipeError(f"no {part} recipe called {recipe}", f"choose one of {', '.join(names(part))}")


def modules(part: str) -> list[Any]:
    """The modules of a part's recipes. Each has RECIPES, name → function that returns settings, and their Task.

    Raises:
        RecipeError: there is no such part.
    """
    import importlib

    if part not in MODULES:
        raise RecipeError(f"nothing called {part} can be trained", f"choose one of {', '.join(PARTS)}")
    return [importlib.import_module(f"lantu.recipes.{name}") for name in MODULES[part]]


def evaluate(
    model: "Model",
    data: str | Path | None = None,
    suites: Sequence[str] | None = None,
    limit: int = 64,
    seed: int = 0,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    minutes: float | None = None,
    **overrides: Unpack["Overrides"],
) -> dict[str, dict[str, Any]]:
    """Score a model on named suites: see ``lantu.recipes.scores.evaluate``."""
    from lantu.recipes.scores import evaluate as run

    return run(model, data, suites, limit, seed, out, progress, minutes, **overrides)
