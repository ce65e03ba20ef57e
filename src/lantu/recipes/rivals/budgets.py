"""Equal budgets: what each system's training costs, counted by one function, and how many steps a budget buys.

A system is what is trained for it, part by part (``lantu.recipes.compare.systems``). ``cost`` counts a part's
operations by ``lantu.training.flops``, for lantu's own parts as for rivals'; ``steps_for`` turns a budget into
``--set loop.steps=N``; ``spent`` is what a run has cost so far; ``check_equal`` refuses a comparison of unequal ones.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import LantuError, ModelError
from lantu.recipes import module_of, runs
from lantu.recipes.codes import unkept
from lantu.training.checkpoint import numbered
from lantu.training.config import override
from lantu.training.flops import COUNTED, flops_per_sample
from lantu.training.task import Task

TOLERANCE = 0.05  # of training operations


@dataclass(frozen=True)
class Cost:
    """What training a part costs.

    Attributes:
        flops_per_sample: forward and backward.
        samples_per_step: of one update.
        parameters: that are trained.
    """

    flops_per_sample: float
    samples_per_step: int
    parameters: int

    def steps_for(self, flops: float) -> int:
        """Updates that a budget buys, to the nearest; at least one."""
        return max(1, round(flops / (self.flops_per_sample * self.samples_per_step)))


def cost(part: str, recipe: str, data: str | Path, overrides: Sequence[str] = ()) -> Cost:
    """The cost of a part by its recipe on some data; nothing is written.

    Raises:
        RecipeError: there is no such part, recipe or setting.
        DataError: there is no such data.
    """
    return cost_of(*opened(part, recipe, data, overrides))


def opened(part: str, recipe: str, data: str | Path, overrides: Sequence[str] = ()) -> tuple[Task, Any]:
    """The task of a recipe and its settings, for nothing that keeps files. Raises as ``cost``."""
    module = module_of(part, recipe)
    settings = runs.located(override(module.RECIPES[recipe](), overrides))
    with unkept():
        return module.Task(settings, Path(data)), settings


def cost_of(task: Task, settings: Any, counted: int = COUNTED) -> Cost:
    """The cost of a task.

    Args:
        counted: samples by which operations are counted.
    """
    trained = [each for net in task.networks.values() for each in net.parameters() if each.requires_grad]
    loop = settings.loop
    flops, parameters = flops_per_sample(task, counted), sum(each.numel() for each in trained)
    return Cost(flops, loop.batch_size * loop.accumulate, parameters)


def spent(run: str | Path) -> float:
    """Operations that a run's training has cost so far.

    Raises:
        ModelError: there is no run with a checkpoint, or it doesn't say of which recipe and data it is.
    """
    folder = Path(run)
    options, identity = runs.read(folder), runs.identity_of(folder)
    checkpoints = numbered(folder / "checkpoints")
    if options is None or not checkpoints or "data" not in options or not {"part", "recipe"} <= identity.keys():
        raise ModelError(f"no run with a checkpoint and a recipe in {run}", "train it first")
    module = module_of(identity["part"], identity["recipe"])
    settings = runs.restored(module.RECIPES[identity["recipe"]](), folder, ())
    state = json.loads((checkpoints[0] / "state.json").read_text(encoding="utf-8"))
    with unkept():
        made = cost_of(module.Task(settings, Path(options["data"])), settings)
    return made.flops_per_sample * made.samples_per_step * state["step"]


def check_equal(flops: Mapping[str, float], tolerance: float = TOLERANCE) -> None:
    """Refuse systems whose training cost differs by more than ``tolerance`` of the mean.

    Raises:
        LantuError: which differs, and by how much.
    """
    mean = sum(flops.values()) / max(1, len(flops))
    for name, value in flops.items():
        if abs(value - mean) > tolerance * mean:
            what = f"{name} cost {value:.3g} operations, the mean is {mean:.3g}"
            raise LantuError(what, f"set loop.steps so that all are within {tolerance:.0%}")
