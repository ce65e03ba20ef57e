"""What the scripts behind docs/claims.md share: a model with its scenes and their judge, processor time, tables.

Times are of this process's own processor time and medians, because machines are shared; run them on one core.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.trials import trials
from lantu.evaluation.metrics import interval
from lantu.evaluation.scorer import Scorer
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.pipeline import Model
from lantu.recipes.scores import composer_of, scorer_of

Row = Mapping[str, Any]


def options(documentation: str | None) -> argparse.ArgumentParser:
    """A parser with what all of these scripts take."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji", help="name or folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser


def show(tables: Mapping[str, Sequence[Row]], as_json: bool) -> None:
    """Print tables in Markdown, each under its title, or all of them as one JSON object."""
    if as_json:
        print(json.dumps(tables, ensure_ascii=False))
        return
    for title, rows in tables.items():
        names = list(rows[0])
        print(f"\n{title}\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
        for row in rows:
            print(f"| {' | '.join(str(row[name]) for name in names)} |")


def processor_seconds(work: Callable[[], Any], rounds: int = 5) -> float:
    """The median processor time of ``work``, after one round that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def share(right: Sequence[bool]) -> str:
    """A share with its 95 % interval (Wilson's)."""
    low, high = interval(float(np.mean(right)), len(right))
    return f"{np.mean(right):.1%} ({low:.0%} to {high:.0%})"


class Examined:
    """A model of composed scenes, and what judges its pictures.

    Args:
        data: a data folder whose gallery the scenes are composed of; None for what the model was trained on.
    """

    def __init__(self, name: str, data: Path | None = None):
        self.model = Model.load(name, "cpu")
        self.parts: Any = self.model.parts
        self.composer = composer_of(self.model, data)

    @cached_property
    def scorer(self) -> Scorer:
        """The judge of pictures."""
        return scorer_of(self.composer.gallery, load_efficientnet())

    def trials(self, suite: str, count: int, seed: int = 1) -> list[Trial]:
        """Trials of one suite."""
        return trials(self.composer, suite, count, seed)

    def codes(self, asked: Sequence[Trial]) -> np.ndarray:
        """Codes (B, h, w) of the trials' true pictures."""
        return self.parts.encode(np.stack([trial.image for trial in asked]))

    def right(self, asked: Sequence[Trial], pictures: Sequence[np.ndarray]) -> list[bool]:
        """Whether each picture (H, W, 3) uint8 shows what its trial asks for."""
        return [verdict["score"] > 0 for verdict in self.scorer.judge(asked, pictures)]
