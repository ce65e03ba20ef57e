"""The figures of a comparison, put together from the results of its steps."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lantu.recipes.compare.need import recognisable
from lantu.recipes.compare.planning import Asked, Planner, Trial
from lantu.recipes.compare.systems import System
from lantu.recipes.pictures import origin

Results = Mapping[str, Any]  # name of a step → what it returned
SWEEP, SCORE = "sweep", "score"  # steps that score a trial: on few prompts, on all
SETTINGS = "settings"  # the step that chooses how a system draws
ABILITIES = ("round_trip", "variety", "captioning", "editing", "interleaving")
NOTHING = {"value": 0.0, "interval": [0.0, 1.0], "n": 1}
NORM_LINES = 20  # last lines of the log, whose gradient norms are compared


@dataclass(frozen=True)
class Tried:
    """What was trained of a system.

    Attributes:
        sweep: at each learning rate.
        rate: the best of them.
        weights: with other weights between the losses.
        seeds, levels: at the best rate; scored on all prompts.
    """

    system: System
    sweep: Sequence[Trial]
    rate: float
    weights: Sequence[Trial]
    seeds: Sequence[Trial]
    levels: Sequence[Trial]

    @property
    def scored(self) -> list[Trial]:
        """Those that are scored on all prompts."""
        return list({trial.key: trial for trial in (*self.seeds, *self.levels)}.values())

    @property
    def last(self) -> Trial:
        """The one of the largest budget."""
        return self.levels[-1]


def figures(asked: Asked, planner: Planner, tried: Tried, results: Results) -> dict[str, Any]:
    """All figures of a trained system, by the results of its steps."""
    return {
        "about": tried.system.about,
        "shares": {part.name: part.share(asked.split) for part in tried.system.parts},
        "parameters": planner.parameters(tried.system),
        "training_flops": {str(trial.level): trial.flops for trial in tried.levels},
        "steps": {name: training.steps for name, training in tried.last.parts.items()},
        "training_s": training_s(tried.last, results),
        "data": origin(asked.data),
        "seeds": len(tried.seeds),
        "swept": len(tried.sweep),
        "stability": stability(tried, results),
        "curve": [point(trial, results) for trial in tried.levels],
        "recognisable": recognisable(single_things(tried.levels, results)),
        "settings": scored(tried.last, results, SETTINGS),
        "pictures": {str(trial.level): scored(trial, results, SCORE).get("pictures", []) for trial in tried.levels},
        **of_model(tried.last.key, results),
    }


def point(trial: Trial, results: Results) -> dict[str, Any]:
    """A point of the curves."""
    found = scored(trial, results, SCORE)
    score = found.get("score", {}).get("all")
    return {"level": trial.level, "flops": trial.flops, "score": score, "frechet": found.get("frechet")}


def single_things(trials: Sequence[Trial], results: Results) -> list[tuple[float, Mapping[str, Any]]]:
    """Operations, and the share of single things right; of trials that came to nothing, none."""
    return [(trial.flops, scored(trial, results, SCORE).get("score", {}).get("single", NOTHING)) for trial in trials]


def loaded_figures(key: str, facts: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """The figures of a model that was not trained here.

    Args:
        key: of its steps.
    """
    final, flops = results.get(f"{SCORE}-{key}", {}), max(facts["training_flops"].values(), default=0.0)
    single = final.get("score", {}).get("single")
    beside = {"recognisable": recognisable([(flops, single)] if single else []), "curve": [], "seeds": 1, "swept": 0}
    return {**facts, **beside, "pictures": {"loaded": final.get("pictures", [])}, **of_model(key, results)}


def of_model(key: str, results: Results) -> dict[str, Any]:
    """The figures of one model: its scores, what else it can do, and what a picture costs."""
    final = results.get(f"{SCORE}-{key}", {})
    scores = final.get("score", {})
    return {
        **{name: scores.get(entry) for name, entry in (("score", "all"), ("single", "single"), ("pairs", "pairs"))},
        **{name: final.get(name) for name in ("ceiling", "frechet", "evaluator")},
        **{name: results.get(f"abilities-{key}", {}).get(name) for name in ABILITIES},
        "picture": results.get(f"speed-{key}"),
        "failed": final.get("failed", ""),
    }


def scored(trial: Trial, results: Results, step: str) -> Mapping[str, Any]:
    """What a trial scored; {} where it hasn't."""
    return results.get(f"{step}-{trial.key}", {})


def value_of(trial: Trial, results: Results, step: str) -> float:
    """The scene score of a trial; 0 for one that came to nothing."""
    return scored(trial, results, step).get("score", {}).get("all", {}).get("value", 0.0)


def distance_of(trial: Trial, results: Results, step: str) -> float:
    """The Fréchet distance of a trial; infinite for one that came to nothing."""
    return scored(trial, results, step).get("frechet", {}).get("value", math.inf)


def best_rate(system: System, sweep: Sequence[Trial], results: Results) -> float:
    """The best learning rate: the least validation loss of what drafts, among scene scores that may be the best.

    A score may be the best if its interval reaches the highest one. At a budget at which hardly anything is right, one
    drawing more is chance, and the loss tells more.
    """
    best = max(value_of(trial, results, SWEEP) for trial in sweep)

    def rank(trial: Trial) -> tuple[bool, float, float, float]:
        score = scored(trial, results, SWEEP).get("score", {}).get("all")
        (loss,) = results.get(f"train-{trial.parts[system.drafter.name].key}", {}).get("validation") or (math.inf,)
        worse = not score or score["interval"][1] < best
        return worse, loss, distance_of(trial, results, SWEEP), abs(math.log(trial.rate))

    return min(sweep, key=rank).rate


def stability(tried: Tried, results: Results) -> dict[str, Any]:
    """How much a system's scores vary with seeds, learning rates and loss weights, at the smallest budget.

    For each of the three: "runs"; "diverged", the share; "spread", the standard deviation of the scene score;
    "frechet_spread" and "norm_spread", those of the Fréchet distance and of the gradient's norm as shares of the mean.
    """
    own = [trial for trial in tried.sweep if trial.rate == tried.rate]
    found: dict[str, Any] = {
        "best_rate": tried.rate,
        "seeds": spread(tried, tried.seeds, results, SCORE),
        "rates": spread(tried, tried.sweep, results, SWEEP),
        "weights": {"cannot": "there is one loss"},
    }
    if tried.system.weight:
        found["weights"] = spread(tried, [*own, *tried.weights], results, SWEEP)
    return found


def spread(tried: Tried, trials: Sequence[Trial], results: Results, step: str) -> dict[str, Any]:
    """See ``stability``."""
    runs = [run_of(tried.system, trial, results, step) for trial in trials]
    distances = [one["frechet"] for one in runs if one["frechet"] is not None]
    norms = [one["norm_spread"] for one in runs if one["norm_spread"] is not None]
    return {
        "runs": len(runs),
        "diverged": sum(bool(one["diverged"]) for one in runs) / max(1, len(runs)),
        "spread": statistics.stdev(one["score"] for one in runs) if len(runs) > 1 else None,
        "frechet_spread": statistics.stdev(distances) / statistics.mean(distances) if len(distances) > 1 else None,
        "norm_spread": statistics.mean(norms) if norms else None,
        "each": runs,
    }


def run_of(system: System, trial: Trial, results: Results, step: str) -> dict[str, Any]:
    """A trial in a few figures: loss and norms of the gradient are those of the part that drafts."""
    trained = {name: results.get(f"train-{training.key}", {}) for name, training in trial.parts.items()}
    drafter = trained[system.drafter.name]
    norms = [norm for _, _, norm in drafter.get("norms", ()) if norm is not None][-NORM_LINES:]
    mean, distance = statistics.mean(norms) if norms else 0.0, distance_of(trial, results, step)
    return {
        **{name: getattr(trial, name) for name in ("key", "seed", "rate", "weight")},
        "loss": drafter.get("loss"),
        "norms": drafter.get("norms", []),
        "norm_spread": statistics.stdev(norms) / mean if len(norms) > 1 and mean > 0 else None,
        "diverged": "; ".join(f"{name}: {one['diverged']}" for name, one in trained.items() if one.get("diverged")),
        "score": value_of(trial, results, step),
        "frechet": distance if math.isfinite(distance) else None,
    }


def training_s(trial: Trial, results: Results) -> float:
    """Seconds of all its trainings; of those that grew from shorter ones, over all of them."""
    return round(sum(results.get(f"train-{one.key}", {}).get("train_s", 0.0) for one in trial.parts.values()), 1)
