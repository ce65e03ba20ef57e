"""Validation in the course of a run: the loss of samples that it does not learn from, the best step so far, and what to
tell the user about it. What is measured: ``Task.validation`` and ``Task.validation_loss``."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

PREFIX = "val_"  # of validation metrics in the log
WORSE = 1.02  # times the least validation loss: less is noise
RISEN = 1.5  # times its least value: a training loss so large has diverged
RECENT = 3  # lines of the log whose median is taken
FEW_CODES = 0.1  # share of the codebook


@dataclass
class Best:
    """The least validation loss of a run.

    Attributes:
        loss: None before the first validation.
        step: updates done by then.
        stale: validations since.
    """

    loss: float | None = None
    step: int = 0
    stale: int = 0

    def see(self, loss: float, step: int) -> bool:
        """Record a validation; returns whether it is the best so far."""
        better = math.isfinite(loss) and (self.loss is None or loss < self.loss)
        if better:
            self.loss, self.step, self.stale = loss, step, 0
        else:
            self.stale += 1
        return better

    def beats(self, loss: float) -> bool:
        """Whether it is better than a later loss by more than noise."""
        return self.loss is not None and not loss <= self.loss + abs(self.loss) * (WORSE - 1)


class Watch:
    """Notices in the lines of a log what a person would want to know early; says each thing once.

    Args:
        patience: as the run has it; 0 where it does not stop early.
    """

    def __init__(self, patience: int):
        self.patience = patience
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.least: float | None = None
        self.said: set[str] = set()

    def see(self, record: Mapping[str, float | None], best: Best, warm: bool) -> list[str]:
        """Warnings with their remedy, for a line of the log.

        Args:
            warm: the warm-up of the learning rate is over.
        """
        found = {"diverged": self.diverged(record, warm), "codes": codes_die(record, warm)}
        found["memorises"] = self.memorises(record, best)
        new = [(kind, line) for kind, line in found.items() if line and kind not in self.said]
        self.said |= {kind for kind, _ in new}
        return [line for _, line in new]

    def diverged(self, record: Mapping[str, float | None], warm: bool) -> str:
        """The training loss, the median of some lines, has risen far above its least value.

        A line may stand for a single step, whose loss says little.
        """
        if record.get("loss") is None or not warm:
            return ""
        self.recent.append(float(record["loss"] or 0.0))
        if len(self.recent) < RECENT:
            return ""
        loss = median(self.recent)
        least = self.least = loss if self.least is None else min(loss, self.least)
        if least <= 0 or loss < RISEN * least:
            return ""
        remedy = "begin again with a smaller rate, e.g. --set loop.lr=N, or longer --set loop.warmup_steps"
        return f"the loss has risen from {least:.3g} to {loss:.3g} and may diverge: {remedy}"

    def memorises(self, record: Mapping[str, float | None], best: Best) -> str:
        """The validation loss rises again while the training loss goes on falling."""
        now, loss = record.get(f"{PREFIX}loss"), record.get("loss")
        falling = loss is not None and self.least is not None and loss <= self.least * WORSE
        if now is None or best.stale < 3 or not best.beats(now) or not falling:
            return ""
        what = f"validation loss was least at step {best.step:,} ({best.loss:.3g}, now {now:.3g}): it learns by heart"
        rest = "" if self.patience else ", or stop early: --set loop.patience=5"
        return f"{what}; the best checkpoint is kept. More pictures help, or a smaller model{rest}"


def codes_die(record: Mapping[str, float | None], warm: bool) -> str:
    """Most of a codebook is not used."""
    used = record.get("used")
    if used is None or not warm or used >= FEW_CODES:
        return ""
    remedy = "a smaller model.codebook_size, or codes that start anew (--set model.quantizer=following refit_every=400)"
    return f"only {used:.0%} of the codebook is in use: {remedy}"
