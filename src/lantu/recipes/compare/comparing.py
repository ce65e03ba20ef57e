"""``lantu compare``: counts, trains, scores and reports, in steps that are kept in the folder of the comparison.

DIR/compare.json   what was asked for and what is done: a call that was stopped goes on from it
DIR/data           the scenes, unless other data was named
DIR/runs           trainings (``planning``)
DIR/models         a complete model directory of each trial
DIR/drawn          its drawings and captions
DIR/report         index.html and its pictures
"""

import contextlib
import hashlib
import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lantu import kernels
from lantu.data.build import build_emoji
from lantu.data.shards import read_index
from lantu.errors import DataError, DiskError, LantuError, ModelError
from lantu.files import locked, write_json, writing
from lantu.kernels import usable_cores
from lantu.models import hub
from lantu.recipes.compare import measuring, page, planning, rule, table, work
from lantu.recipes.compare.measuring import DRAWN, MODELS
from lantu.recipes.compare.planning import Asked, Planner, Training, Trial
from lantu.recipes.compare.systems import SYSTEMS, System
from lantu.recipes.compare.table import SCORE, SETTINGS, SWEEP, Tried
from lantu.recipes.compare.training import RUNS, run_training
from lantu.recipes.compare.work import LOGS, Step
from lantu.recipes.make.stages import Ledger
from lantu.recipes.pictures import is_own
from lantu.recipes.rivals import budgets
from lantu.recipes.rivals.assembling import exported
from lantu.recipes.rivals.budgets import Cost

Tell = Callable[[str, int, int], None]
REPORT, TABLE = "report", "table.json"
OWN = (RUNS, MODELS, DRAWN, LOGS, REPORT, TABLE)  # what a comparison writes, without asking who wrote what is there
FIXED = ("budget", "split", "prompts", "swept", "captions", "debug", "device")  # what a call must repeat to go on
WORLD: dict[str, Any] = {"world": "few", "styles": ["noto"], "train": 6000, "val": 500, "heldout": 0}
SMALL = WORLD | {"train": 240, "val": 16, "size": 32}  # of --debug
PLANNED = WORLD | {"train": 256, "val": 16}  # of --plan, where there is no data yet


@dataclass(frozen=True)
class Loaded:
    """A model that is scored without being trained here.

    Attributes:
        name: the system that it stands for.
        source: as the user names it.
        key: of its steps and drawings, which other weights or settings don't share.
    """

    name: str
    source: str
    model: Path
    key: str

    @classmethod
    def of(cls, name: str, source: str) -> "Loaded":
        """The model directory of a run or of a model by name, folder or hub id. Raises ModelError: there is none."""
        model = locate(source)
        folder = hub.find(model)
        made = json.dumps([folder.digest, folder.settings.as_dict()], sort_keys=True)
        return cls(name, source, model, f"{name}-{hashlib.sha256(made.encode()).hexdigest()[:8]}")


@dataclass
class Comparison:
    """A comparison in its folder.

    Attributes:
        folder: DIR.
        tell: called with a step's name, steps done, and in all.
        cores, threads: processes at a time, threads of each.
    """

    asked: Asked
    folder: Path
    ledger: Ledger
    tell: Tell
    cores: int
    threads: int

    def run(self) -> dict[str, Any]:
        """Everything that is not done yet; returns what ``--json`` prints."""
        asked, systems = self.asked, self.asked.trained
        loaded = [Loaded.of(name, source) for name, source in asked.loaded.items()]
        planner = self.planner()
        sweeps = {system.name: planner.sweep(system) for system in systems}
        self.do([step for some in sweeps.values() for step in self.sweeping(some)])
        tried = [self.tried(planner, system, sweeps[system.name]) for system in systems]
        steps = [self.scoring(one) for one in loaded]
        for one in tried:
            steps += [self.training(each) for trial in one.scored for each in trial.parts.values()]
            steps += self.sweeping(one.weights)
            steps.append(self.settings(one.last))
        self.do(steps)
        drawings = [(trial, self.chosen(one.last)) for one in tried for trial in one.scored]
        self.do([self.measuring(trial, SCORE, asked.prompts, draw) for trial, draw in drawings])
        models = {one.key: one.model for one in loaded}
        models |= {one.last.key: self.folder / MODELS / one.last.key for one in tried if self.drew(one.last)}
        self.do(
            [
                Step(f"abilities-{key}", measuring.abilities, (self.folder, key, model, asked))
                for key, model in models.items()
            ]
        )
        # One after the other: seconds are measured.
        speeds = [Step(f"speed-{key}", measuring.speed, (model, asked)) for key, model in models.items()]
        work.run(self.ledger, speeds, self.tell, 1, self.cores * self.threads)
        return self.report(planner, tried, loaded)

    def planner(self) -> Planner:
        """Of what the parts cost, which is counted once."""
        parts = [planning.code_of(part) for system in self.asked.trained for part in system.parts]
        name = f"count-{planning.digest(parts)}"
        self.do([Step(name, planning.count, (self.asked,))])
        return Planner(self.asked, {part: Cost(**cost) for part, cost in self.ledger.done[name].items()})

    def tried(self, planner: Planner, system: System, sweep: Sequence[Trial]) -> Tried:
        """What is trained of a system, once its learning rates have been tried."""
        rate = table.best_rate(system, sweep, self.ledger.done)
        rest = planner.reweighted(system, rate), planner.seeds(system, rate), planner.levels(system, rate)
        return Tried(system, sweep, rate, *rest)

    def drew(self, trial: Trial) -> bool:
        """Whether a trial became a model that draws."""
        return bool(self.ledger.done[f"{SCORE}-{trial.key}"].get("score"))

    def sweeping(self, trials: Sequence[Trial]) -> list[Step]:
        """Train the parts of some trials of a sweep, and score them by a few drawings."""
        made: list[Step] = []
        for trial in trials:
            made += [self.training(training) for training in trial.parts.values()]
            made.append(self.measuring(trial, SWEEP, self.asked.swept))
        return made

    def measuring(self, trial: Trial, step: str, prompts: int, draw: Mapping[str, float] | None = None) -> Step:
        """Score a trial, drawn by some settings or by the usual ones."""
        return Step(
            f"{step}-{trial.key}", measuring.measure, (self.folder, trial, self.asked, prompts, draw), trained(trial)
        )

    def settings(self, trial: Trial) -> Step:
        """Choose how a system draws, by its largest budget."""
        return Step(f"{SETTINGS}-{trial.key}", measuring.settings, (self.folder, trial, self.asked), trained(trial))

    def chosen(self, trial: Trial) -> Mapping[str, float]:
        """How a system draws."""
        return self.ledger.done[f"{SETTINGS}-{trial.key}"]["draw"]

    def training(self, one: Training) -> Step:
        """Train a part."""
        before = [*one.takes.values(), *([one.grows_from] if one.grows_from else [])]
        arguments = self.folder, one, self.asked.data, self.asked.device
        return Step(f"train-{one.key}", run_training, arguments, tuple(f"train-{key}" for key in before))

    def scoring(self, one: "Loaded") -> Step:
        """Score a model that was there."""
        arguments = self.folder, one.key, one.model, self.asked, self.asked.prompts
        return Step(f"{SCORE}-{one.key}", measuring.score, arguments)

    def do(self, steps: Sequence[Step]) -> None:
        """Do some steps; those that are done are left out."""
        work.run(self.ledger, list({step.name: step for step in steps}.values()), self.tell, self.cores, self.threads)

    def report(self, planner: Planner, tried: Sequence[Tried], loaded: Sequence["Loaded"]) -> dict[str, Any]:
        """The table, checked, and its page."""
        found = {one.system.name: table.figures(self.asked, planner, one, self.ledger.done) for one in tried}
        found |= {
            one.name: table.loaded_figures(one.key, facts_of(one, self.asked), self.ledger.done) for one in loaded
        }
        found = {name: found[name] for name in SYSTEMS if name in found}
        breaches = rule.check(self.asked, found)
        result: dict[str, Any] = {**found, "comparison": about(self.asked, breaches, self.ledger)}
        result["comparison"]["report"] = str(page.write(self.folder / REPORT, result))
        write_json(self.folder / TABLE, result)
        return result


def trained(trial: Trial) -> tuple[str, ...]:
    """Names of the steps that train a trial's parts."""
    return tuple(f"train-{training.key}" for training in trial.parts.values())


def about(asked: Asked, breaches: Sequence[rule.Breach], ledger: Ledger) -> dict[str, Any]:
    """What a comparison was, and whether it keeps the rule of equal budgets."""
    return {
        "rule": {"holds": not breaches, "text": rule.TEXT, "broken": [breach.as_json() for breach in breaches]},
        "asked": asked.as_json(),
        "spent_s": round(sum(ledger.seconds.values()), 1),
        "machine": machine(),
    }


def machine() -> str:
    """Where it was computed."""
    return f"{platform.machine()}, {usable_cores()} cores, kernels {kernels.name()}"


def compare(asked: Asked, folder: Path, tell: Tell, jobs: int | None = None) -> dict[str, Any]:
    """Compare systems; a call that was stopped goes on where it was, a larger one keeps what is done.

    Args:
        asked: with data "" for the world "few" in one style, which is built in the folder.
        folder: DIR.
        tell: called with a step's name, steps done, and in all.
        jobs: processes at a time; as many as there are cores when None.

    Returns:
        the table: name → figures, and "comparison": the rule, what was asked for, the report.

    Raises:
        LantuError: something can't be had, or the folder holds another comparison.
        KeyboardInterrupt: it was interrupted; the same call goes on.
    """
    planning.check_asked(asked)
    if folder.exists() and not folder.is_dir():
        raise DiskError(f"{folder} is a file", "name a folder for the comparison")
    fixed = {**fixed_of(asked), "data": str(Path(asked.data).resolve()) if asked.data else ""}
    how = folder, fixed, work.LEDGER, "a comparison", "-o DIR"
    Ledger.open(*how)  # refused before anything is written
    if not (folder / work.LEDGER).is_file() and (there := [name for name in OWN if (folder / name).exists()]):
        what = f"{folder} holds other files that a comparison would overwrite ({', '.join(there)})"
        raise DiskError(what, "choose another folder: -o DIR")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", wait=False):
        ledger = Ledger.open(*how)  # another call may have gone on in the meantime
        ledger.save()
        place = scenes(asked.data, folder / "data", asked.debug)
        cores = jobs or usable_cores()
        asked = replace(asked, data=str(place))
        return Comparison(asked, folder.resolve(), ledger, tell, cores, max(1, usable_cores() // cores)).run()


def fixed_of(asked: Asked) -> dict[str, Any]:
    """What a call must repeat to go on; systems, budgets, seeds and rates may be added."""
    kept = asked.as_json()
    # By which batches and warm-ups are set: with a smaller one, all trainings would be others.
    return {name: kept[name] for name in FIXED} | {"smallest level": min(asked.levels)}


def scenes(named: str, place: Path, debug: bool) -> Path:
    """The data folder: that which was named, or scenes of the world "few".

    Raises:
        DataError: it holds no composed scenes, whose content is known.
    """
    folder = Path(named).resolve() if named else build_emoji(place.resolve(), **(SMALL if debug else WORLD))
    if is_own(read_index(folder)):
        raise DataError(f"{folder} doesn't say what its pictures show", "name data of `lantu data build emoji`")
    return folder


def locate(source: str) -> Path:
    """The model directory of a run or of a model by name, folder or hub id. Raises ModelError where there is none."""
    with contextlib.suppress(ModelError):
        return exported(source).resolve()
    return Path(hub.locate(source)).resolve()


def facts_of(one: Loaded, asked: Asked) -> dict[str, Any]:
    """What a loaded model says of its training. Operations are known of systems of one part: others name no more."""
    folder = hub.find(one.model)
    index: dict[str, Any] = getattr(folder, "index", {})
    flops = 0.0
    if len(SYSTEMS[one.name].parts) == 1:
        flops = sum(cost.get("flops", 0.0) for cost in index.get("budget", {}).values())
        with contextlib.suppress(LantuError):
            flops = flops or budgets.spent(one.source)
    return {
        "about": f"{SYSTEMS[one.name].about}; from {one.source}",
        "parameters": sum(folder.describe().get("parameters", {}).values()),
        "training_flops": {str(max(asked.levels)): flops} if flops else {},
        "data": index.get("data"),
    }


def plan(asked: Asked, tell: Callable[[str], None]) -> dict[str, Any]:
    """What would be trained, with operations and estimated hours on this machine; keeps nothing.

    Returns:
        "systems": name → "parameters", "flops" and "hours" in all, "step_s", and "trials" (key, operations, hours).
        Trainings that several systems share count once in "hours".
    """
    planning.check_asked(asked)
    with tempfile.TemporaryDirectory(prefix="lantu-compare-") as place:
        small = SMALL | {"train": 256} if asked.debug else PLANNED
        data = asked.data or str(build_emoji(Path(place) / "data", **small))
        scenes(data, Path(place), asked.debug)
        counted = planning.count(replace(asked, data=data), tell, timed=True)
        return planning.estimate(replace(asked, data=data), counted)
