"""The rule of equal budgets, checked: a comparison that breaks it says so, and by which rule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lantu.recipes.compare.planning import Asked
from lantu.recipes.rivals.budgets import TOLERANCE

MAX_PARAMETERS_APART, MAX_OPERATIONS_APART = 0.1, TOLERANCE  # relative difference of a system from the mean
MIN_TRIALS, MIN_SEEDS = 512, 3
LEVELS = (1, 4, 16)
# Figures that need as many trials as the score.
TRIAL_FIGURES = ("frechet", "captioning", "editing", "interleaving", "round_trip")
TEXT = (
    "Equal data; parameters within 10 % and training operations within 5 % of the mean, of everything that is trained; "
    "one evaluator; 512 prompts or more a figure, with 95 % intervals; three seeds or more of the smallest budget, at "
    "which learning rates are swept; curves at 1, 4 and 16 times it."
)


@dataclass(frozen=True)
class Breach:
    """A broken rule.

    Attributes:
        rule: "data", "parameters", "operations", "evaluator", "prompts", "seeds", "rates" or "levels".
        what: how, in a line.
        systems: that break it; () for the comparison as a whole.
    """

    rule: str
    what: str
    systems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"rule": self.rule, "what": self.what, "systems": list(self.systems)}


def check(asked: Asked, systems: Mapping[str, Mapping[str, Any]]) -> list[Breach]:
    """The rules that a comparison breaks.

    Args:
        systems: name → entries of the table, of which "parameters", "training_flops" (level → operations), "data",
            "evaluator", "score" ("n"), "seeds" and "swept" are looked at.
    """
    found = [*apart("parameters", {name: one["parameters"] for name, one in systems.items()}, MAX_PARAMETERS_APART)]
    for level in asked.levels:
        spent = {name: one["training_flops"].get(str(level)) for name, one in systems.items()}
        found += apart("operations", spent, MAX_OPERATIONS_APART, f" at {level} times the smallest budget")
    found += same("data", systems, "was trained on other data, or doesn't say on which")
    found += same("evaluator", systems, "was scored by another evaluator")
    found += few("prompts", {name: least_n(one) for name, one in systems.items()}, MIN_TRIALS)
    found += few("seeds", {name: one.get("seeds", 0) for name, one in systems.items()}, MIN_SEEDS)
    if unswept := tuple(name for name, one in systems.items() if one.get("swept", 0) < 2):
        found.append(Breach("rates", "learning rates were not swept", unswept))
    if missing := [level for level in LEVELS if level not in asked.levels]:
        times = ", ".join(map(str, missing))
        found.append(Breach("levels", f"no figures at {times} times the smallest budget"))
    return found


def least_n(figures: Mapping[str, Any]) -> int:
    """The fewest trials of any of a system's shares and distances; what it can't do has none."""
    found = [figures.get("score") or {"n": 0}, *(figures.get(name) or {} for name in TRIAL_FIGURES)]
    return min(one["n"] for one in found if "n" in one)


def apart(rule: str, values: Mapping[str, float | None], tolerance: float, where: str = "") -> Iterator[Breach]:
    """Which of some values are unknown, or further from the mean than allowed."""
    known = {name: value for name, value in values.items() if value}
    if unknown := tuple(name for name in values if name not in known):
        yield Breach(rule, f"{rule} are not known{where}", unknown)
    if not known:
        return
    mean = sum(known.values()) / len(known)
    for name, value in known.items():
        if abs(value - mean) > tolerance * mean:
            yield Breach(rule, f"{value:.3g} {rule}{where}, {value / mean - 1:+.0%} of the mean {mean:.3g}", (name,))


def same(rule: str, systems: Mapping[str, Mapping[str, Any]], what: str) -> Iterator[Breach]:
    """Which systems differ from the most frequent value, or have none."""
    values = {name: one.get(rule) for name, one in systems.items()}
    known = [value for value in values.values() if value]
    usual = max(known, key=known.count) if known else None
    if others := tuple(name for name, value in values.items() if value is None or value != usual):
        yield Breach(rule, what, others)


def few(rule: str, counts: Mapping[str, int], least: int) -> Iterator[Breach]:
    """Which systems have too few."""
    if fewer := tuple(name for name, count in counts.items() if count < least):
        yield Breach(rule, f"{min(counts[name] for name in fewer)} {rule}, of {least} at least", fewer)
