"""The results of a suite: its numbers, and some trials to look at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lantu.evaluation.metrics import interval
from lantu.evaluation.trial import Trial

WIDE = 1.96  # standard errors each side of a normal 95 % interval
NOTHING = 1e-6  # a distance of pictures that are the same
KINDS = ("score", "round_trip", "ceiling")

Verdict = dict[str, float]  # "score", and values that explain it


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One trial to look at.

    Attributes:
        round_trip: the true picture after picture → codes → picture, (H, W, 3) uint8.
        drawn: the generator's picture for the prompt, (H, W, 3) uint8; None where nothing was drawn.
        caption: the generator's caption of the true picture; "" where none was asked for.
        score: of this trial.
    """

    trial: Trial
    round_trip: np.ndarray
    drawn: np.ndarray | None = None
    caption: str = ""
    score: float = 0.0


@dataclass(frozen=True)
class SuiteResult:
    """What a suite found: averages over its trials.

    Attributes:
        n: trials.
        details: each of ``KINDS`` → name → mean, "score" among them.
        exhibits: the first few trials.
        error: standard error of a score that is a mean of numbers; None where it is a share of trials.
        unit: of the score: "share", or "distance".
    """

    n: int
    details: dict[str, dict[str, float]]
    exhibits: tuple[Exhibit, ...] = field(default=(), repr=False)
    error: float | None = None
    unit: str = "share"

    @property
    def score(self) -> float:
        """The generator's share of right answers."""
        return self.details["score"]["score"]

    @property
    def round_trip(self) -> float:
        """The share for the true pictures after a round trip: the limit that codes and decoder set."""
        return self.details["round_trip"]["score"]

    @property
    def ceiling(self) -> float:
        """The share for the true pictures themselves: the limit that the judge sets."""
        return self.details["ceiling"]["score"]

    @property
    def of_round_trip(self) -> float:
        """The score as a share of the round trip's."""
        return self.score / self.round_trip if self.round_trip > NOTHING else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the score: Wilson's of trials, a normal one of a mean, within what values can be."""
        if self.error is not None:
            most = 1.0 if self.unit == "share" else math.inf
            return max(0.0, self.score - WIDE * self.error), min(most, self.score + WIDE * self.error)
        return interval(self.score, self.n)

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        numbers = {"score": self.score, "ceiling": self.ceiling, "round_trip": self.round_trip, "n": self.n}
        numbers |= {"unit": self.unit} if self.unit != "share" else {}
        return numbers | {"of_round_trip": self.of_round_trip, "interval": self.interval, "details": self.details}


def shown(value: float, unit: str = "share") -> str:
    """A score as tables have it: "12.3%" of trials, or a distance as it is."""
    return f"{value:.1%}" if unit == "share" else f"{value:.3f}"


def averages(trials: Sequence[Trial], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The mean of each detail; the score's also by language, by phrasing and by both, where there are several."""
    means = {name: float(np.mean([verdict[name] for verdict in verdicts])) for name in verdicts[0]}
    splits = [[trial.language for trial in trials], [trial.phrasing for trial in trials]]
    if all(len(set(kinds)) > 1 for kinds in splits):
        splits.append([f"{language} {phrasing}" for language, phrasing in zip(*splits, strict=True)])
    for kinds in splits:
        if len(set(kinds)) > 1:
            for kind in sorted(set(kinds)):
                scores = [verdict["score"] for verdict, its in zip(verdicts, kinds, strict=True) if its == kind]
                means[kind] = float(np.mean(scores))
    return means
