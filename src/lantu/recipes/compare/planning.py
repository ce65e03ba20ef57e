"""Which trainings a comparison takes, and for how many steps: budgets are counted before anything is trained.

    runs/PART-RECIPE-x4-s0-1a2b3c        a training: at four times the smallest budget, seed 0
    models/SYSTEM-x4-s0-4d5e6f           what became of a system's trainings

A training that several systems share (an image tokenizer) is made once, and counts for each of them in full. The last
six digits change with a recipe: what an older one gave is trained and scored again, and stays beside it.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lantu.data.shards import read_index
from lantu.errors import LantuError, RecipeError
from lantu.recipes import module_of
from lantu.recipes.compare.systems import SPLIT, Part, System, chosen
from lantu.recipes.rivals import budgets
from lantu.recipes.rivals.budgets import Cost
from lantu.training.measure import measure

COUNTED = 32  # samples by which operations are counted: documents have several lengths
WARM = 0.1  # of the steps at the smallest budget, at most, the rate warms up
FEWEST = 4  # steps
UPDATES = 64  # that the smallest budget buys of each part, at least: below it a system would not be trained but begun
CURVE = 4  # validations of a training

Overrides = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a comparison was asked for.

    Attributes:
        data: the data folder.
        budget: operations of training, of a system at the smallest budget.
        systems: names.
        levels: budgets as multiples of the smallest.
        seeds: of the smallest budget; larger ones have one.
        rates: learning rates of the drafting part, as multiples of the recipe's.
        weights: of the loss between losses, as multiples of the recipe's.
        split: shares of a budget, see ``systems.ROLES``.
        prompts: that are drawn for each figure; a sweep takes ``swept``.
        captions: pictures that are captioned, and edits.
        debug: by the recipes of seconds.
        loaded: name → a run or a model in the place of a training.
    """

    data: str
    budget: float
    systems: tuple[str, ...]
    levels: tuple[int, ...] = (1, 4, 16)
    seeds: int = 3
    rates: tuple[float, ...] = (0.25, 1.0, 4.0)
    weights: tuple[float, ...] = (0.1, 10.0)
    split: tuple[float, ...] = SPLIT
    prompts: int = 512
    swept: int = 64
    captions: int = 512
    debug: bool = False
    device: str = "auto"
    loaded: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As a ledger keeps it."""
        return json.loads(json.dumps(asdict(self)))

    @property
    def trained(self) -> list[System]:
        """The systems that are not loaded."""
        return [system for system in chosen(self.systems) if system.name not in self.loaded]


@dataclass(frozen=True)
class Training:
    """A training of a part.

    Attributes:
        key: of its folder in runs/.
        takes: setting → key of the training that it names.
        grows_from: key of a shorter one that it goes on from; "" for none.
        grows: a longer one may go on from it.
        steps: updates.
        flops: operations of all of them.
    """

    key: str
    part: str
    recipe: str
    overrides: tuple[str, ...]
    takes: Mapping[str, str]
    grows_from: str
    steps: int
    flops: float
    grows: bool = False


@dataclass(frozen=True)
class Trial:
    """A system, trained in one way.

    Attributes:
        key: of its folders.
        level, seed, rate, weight: see ``Asked``; rate and weight are multiples.
        parts: name → training, in their order.
    """

    key: str
    system: str
    level: int
    seed: int
    rate: float
    weight: float
    parts: Mapping[str, Training]

    @property
    def flops(self) -> float:
        """Operations of all its parts."""
        return sum(training.flops for training in self.parts.values())


@dataclass(frozen=True)
class Planner:
    """Trials of an asked comparison.

    Args:
        costs: ``code_of(part)`` → what a part's training costs, see ``count``.
    """

    asked: Asked
    costs: Mapping[str, Cost]

    def trial(self, system: System, level: int, seed: int = 0, rate: float = 1.0, weight: float = 1.0) -> Trial:
        """A system at a budget, from a seed, with changed rate and weight."""
        parts: dict[str, Training] = {}
        shorter = [each for each in self.asked.levels if each < level]
        before = self.trial(system, max(shorter), seed, rate, weight) if shorter else None
        for part in system.parts:
            own = rate if part is system.drafter else 1.0
            swept = system.weight is not None and part.name == system.weight[0] and weight != 1
            setting = {system.weight[1]: weight} if system.weight and swept else {}
            takes = {name: parts[other].key for name, other in part.takes.items()}
            grows = before.parts[part.name].key if before and part.grows else ""
            parts[part.name] = self._training(part, level, seed, own, setting, takes, grows)
        tags = f"x{level}-s{seed}" + tag("rate", rate) + tag("weight", weight)
        key = f"{system.name}-{tags}-{digest([training.key for training in parts.values()])}"
        return Trial(key, system.name, level, seed, rate, weight, parts)

    def _training(
        self,
        part: Part,
        level: int,
        seed: int,
        rate: float,
        weights: Mapping[str, float],
        takes: Mapping[str, str],
        grows_from: str,
    ) -> Training:
        recipe, plain = recipe_of(part, self.asked.debug)
        least = min(self.asked.levels)
        cost, halvings = self.cost(part)
        steps = {each: self._steps(part, cost, each) for each in {level, least}}
        changed: dict[str, Any] = {**settings_of(part, self.asked), "loop.lr": plain.loop.lr * rate}
        if halvings:
            changed["loop.batch_size"] = plain.loop.batch_size >> halvings
        changed |= {setting: getattr(plain, setting) * weight for setting, weight in weights.items()}
        changed |= {"loop.seed": seed, "loop.warmup_steps": min(plain.loop.warmup_steps, int(WARM * steps[least]))}
        what = [part.part, plain.model_dump(mode="json"), changed, dict(takes), list(self.asked.split)]
        tags = tag("rate", rate) + "".join(tag("weight", weight) for weight in weights.values())
        key = f"{part.part}-{recipe}-x{level}-s{seed}{tags}-{digest(what)}"
        changed |= {"loop.steps": steps[level], "loop.sample_every": 0, "loop.log_every": max(1, steps[level] // 50)}
        changed |= {"loop.validate_every": max(1, steps[level] // CURVE), "loop.validated": 2 * plain.loop.batch_size}
        overrides = tuple(f"{name}={json.dumps(value)}" for name, value in changed.items())
        flops, longer = self._flops(cost, steps[level]), level < max(self.asked.levels)
        grows = part.grows and longer and seed == 0 and not weights
        return Training(key, part.part, recipe, overrides, dict(takes), grows_from, steps[level], flops, grows)

    def cost(self, part: Part) -> tuple[Cost, int]:
        """What a part's training costs, and how often its recipe's batch is halved for it.

        A batch is halved until the smallest budget buys ``UPDATES`` of them: no system is judged by a handful of steps,
        and rounding to whole steps moves no budget by more than a hundredth.
        """
        cost, halvings = self.costs[code_of(part)], 0
        budget = min(self.asked.levels) * self.asked.budget * part.share(self.asked.split)
        while not self.asked.debug and cost.samples_per_step % 2 == 0 and cost.steps_for(budget) < UPDATES:
            cost, halvings = replace(cost, samples_per_step=cost.samples_per_step // 2), halvings + 1
        return cost, halvings

    def _steps(self, part: Part, cost: Cost, level: int) -> int:
        return max(FEWEST, cost.steps_for(level * self.asked.budget * part.share(self.asked.split)))

    @staticmethod
    def _flops(cost: Cost, steps: int) -> float:
        return steps * cost.flops_per_sample * cost.samples_per_step

    def sweep(self, system: System) -> list[Trial]:
        """The smallest budget at each learning rate."""
        return [self.trial(system, min(self.asked.levels), rate=rate) for rate in self.asked.rates]

    def reweighted(self, system: System, rate: float) -> list[Trial]:
        """The smallest budget with other weights between the losses, if there are several losses."""
        weights = self.asked.weights if system.weight else ()
        return [self.trial(system, min(self.asked.levels), 0, rate, weight) for weight in weights]

    def seeds(self, system: System, rate: float) -> list[Trial]:
        """The smallest budget from each seed."""
        return [self.trial(system, min(self.asked.levels), seed, rate) for seed in range(self.asked.seeds)]

    def levels(self, system: System, rate: float) -> list[Trial]:
        """Each budget from the first seed, the smallest first."""
        return [self.trial(system, level, 0, rate) for level in sorted(self.asked.levels)]

    def all(self, system: System) -> list[Trial]:
        """Everything, as it will be if the recipe's own rate is the best."""
        made = *self.sweep(system), *self.reweighted(system, 1.0), *self.seeds(system, 1.0), *self.levels(system, 1.0)
        return list({trial.key: trial for trial in made}.values())

    def parameters(self, system: System) -> int:
        """Numbers that are trained for a system, in all its parts."""
        return sum(self.costs[code_of(part)].parameters for part in system.parts)


def tag(name: str, factor: float) -> str:
    """A part of a key; "" for a factor of 1."""
    return "" if factor == 1 else f"-{name}{factor:g}"


def digest(what: Any) -> str:
    """Six digits of some JSON."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:6]


def recipe_of(part: Part, debug: bool) -> tuple[str, Any]:
    """The recipe by which a part is trained: its name, and its settings as they are by themselves."""
    name = part.debug if debug else part.recipe
    return name, module_of(part.part, name).RECIPES[name]()


def code_of(part: Part) -> str:
    """What identifies a part among all systems, and by what it is trained."""
    recipes = {name: plain.model_dump(mode="json") for name, plain in (recipe_of(part, False), recipe_of(part, True))}
    return json.dumps([part.part, recipes, dict(part.sizes)], sort_keys=True)


def settings_of(part: Part, asked: Asked) -> dict[str, Any]:
    """What differs from a part's recipe, beside its training loop."""
    sizes = {} if asked.debug else dict(part.sizes)
    return sizes | ({part.pixels: int(read_index(asked.data)["size"])} if part.pixels else {})


def count(
    asked: Asked, tell: Callable[[str], None] = lambda name: None, timed: bool = False
) -> dict[str, dict[str, Any]]:
    """What the parts' trainings cost, counted on untrained networks; nothing is kept.

    Args:
        tell: called with the name of each part.
        timed: also measure the seconds of a step, on as many threads as torch has.

    Returns:
        ``code_of(part)`` → the entries of ``Cost``, and "step_s" if timed.

    Raises:
        LantuError: the data or a recipe can't be used.
    """
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="lantu-compare-") as place:
        for system in asked.trained:
            for part in system.parts:
                if code_of(part) not in found:
                    tell(part.name)
                    found[code_of(part)] = count_part(part, system, asked, Path(place), timed)
    return found


def count_part(part: Part, system: System, asked: Asked, place: Path, timed: bool) -> dict[str, Any]:
    """What a part's training costs; its untrained network is left in ``place`` for those that take it."""
    named = {setting: str(place / folder_of(system.part(other))) for setting, other in part.takes.items()}
    changed = {**settings_of(part, asked), **named, "loop.device": asked.device}
    recipe, plain = recipe_of(part, asked.debug)
    if hasattr(plain, "frozen"):
        changed["start"] = "noise"  # a codebook need not be found to be counted
    overrides = [f"{name}={json.dumps(value)}" for name, value in changed.items()]
    task, settings = budgets.opened(part.part, recipe, asked.data, overrides)
    cost = asdict(budgets.cost_of(task, settings, min(COUNTED, settings.loop.batch_size)))
    task.export(place / folder_of(part) / "model")
    if timed:
        cost["step_s"] = measure(task, settings.loop, updates=3, warm=1).step_s
    return cost


def folder_of(part: Part) -> str:
    """A name for a part's untrained network."""
    return hashlib.sha256(code_of(part).encode()).hexdigest()[:12]


def check_asked(asked: Asked) -> None:
    """Refuse what can't be compared.

    Raises:
        LantuError: which setting.
    """
    chosen(asked.systems)
    if unknown := [name for name in asked.loaded if name not in asked.systems]:
        raise LantuError(f"{unknown[0]} is loaded but not compared", "add it to --systems")
    if len(asked.split) != len(SPLIT) or min(asked.split) <= 0 or abs(sum(asked.split) - 1) > 1e-6:
        raise RecipeError(
            f"a budget can't be split {asked.split}", "give three shares that add up to 1, e.g. 0.2,0.5,0.3"
        )
    if 1.0 not in asked.rates:
        raise RecipeError("the recipes' own learning rates are not swept", "add 1 to --rates")


def estimate(asked: Asked, counted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What would be trained, by counted costs with their "step_s": see ``comparing.plan``."""
    costs = {code: Cost(*(cost[name] for name in Cost.__dataclass_fields__)) for code, cost in counted.items()}
    step_s = {code: float(cost["step_s"]) for code, cost in counted.items()}
    planner, known = Planner(asked, costs), set[str]()
    systems = {system.name: planned(planner, system, step_s, known) for system in asked.trained}
    hours = sum(one["hours"] for one in systems.values())
    return {"systems": systems, "hours": hours, "budget": asked.budget, "levels": list(asked.levels)}


def planned(planner: Planner, system: System, step_s: Mapping[str, float], known: set[str]) -> dict[str, Any]:
    """What would be trained of a system.

    Args:
        step_s: ``code_of(part)`` → seconds of an update.
        known: keys of trainings that were counted before; its own are added.
    """
    trials, hours = [], 0.0
    own = {part.name: planner.costs[code_of(part)] for part in system.parts}
    per_step = {name: cost.flops_per_sample * cost.samples_per_step for name, cost in own.items()}
    rates = {part.name: per_step[part.name] / step_s[code_of(part)] for part in system.parts}  # operations a second
    for trial in planner.all(system):
        steps = {name: training.steps for name, training in trial.parts.items()}
        each = {name: training.flops / rates[name] / 3600 for name, training in trial.parts.items()}
        hours += sum(each[name] for name, training in trial.parts.items() if training.key not in known)
        known |= {training.key for training in trial.parts.values()}
        trials.append({"key": trial.key, "flops": trial.flops, "hours": sum(each.values()), "steps": steps})
    return {
        "parameters": planner.parameters(system),
        "part_parameters": {name: cost.parameters for name, cost in own.items()},
        "gflop_per_sample": {name: cost.flops_per_sample / 1e9 for name, cost in own.items()},
        "gflop_per_s": {name: rate / 1e9 for name, rate in rates.items()},
        "flops": sum(trial["flops"] for trial in trials),
        "hours": hours,
        "trials": trials,
    }
