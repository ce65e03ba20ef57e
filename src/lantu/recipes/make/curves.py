"""Learning curves of a run, and what more time would buy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lantu.files import replacing
from lantu.training.logs import Record, read_log
from lantu.training.validation import PREFIX

LEAST_POINTS = 4  # of a validation curve, to extrapolate it
RISEN = 1.02  # times the least validation loss: it no longer falls
VALIDATED = f"{PREFIX}loss"


def validated(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps and validation losses of a run."""
    lines = [line for line in read_log(run) if isinstance(line.get(VALIDATED), int | float)]
    return np.array([line["step"] for line in lines], float), np.array([line[VALIDATED] for line in lines], float)


def at_twice(run: Path) -> float | None:
    """The validation loss that twice the steps would reach: a power law through the curve; None if it says too little.

    Losses fall as a power of the steps over wide ranges (arXiv:2001.08361); of a short run this is a guess, and too
    hopeful once the model begins to learn by heart.
    """
    if why_not(run):
        return None
    steps, losses = validated(run)
    half = len(steps) // 2  # the first steps are steeper than the law
    slope, _ = np.polyfit(np.log(steps[half - 1 :]), np.log(losses[half - 1 :]), 1)
    return float(losses[-1] * 2 ** min(0.0, slope))


def why_not(run: Path) -> str:
    """Why ``at_twice`` knows nothing; "" where it does."""
    _, losses = validated(run)
    if len(losses) < LEAST_POINTS or losses.min() <= 0:
        return "too few validations to tell"
    return (
        "nothing, the validation loss has risen: more pictures, or more views of them (--flips), would help"
        if losses[-1] > losses.min() * RISEN
        else ""
    )


def plot(runs: Sequence[tuple[str, Path]], out: Path) -> None:
    """Draw the training and validation losses of some runs, side by side, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    figure, axes = pyplot.subplots(1, len(runs), figsize=(4.2 * len(runs), 3), squeeze=False)
    for axis, (name, run) in zip(axes[0], runs, strict=True):
        log = [line for line in read_log(run) if isinstance(line.get("loss"), int | float)]
        axis.plot([line["step"] for line in log], [line["loss"] for line in log], color="0.6", label="training")
        axis.plot(*validated(run), "o-", markersize=3, label="validation")
        axis.set(title=name, xlabel="step", ylabel="loss")
        axis.set_yscale("log")
        for each in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            each(FuncFormatter(lambda loss, _: f"{loss:g}"))
        axis.legend(frameon=False)
    figure.tight_layout()
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    pyplot.close(figure)


def last(run: Path) -> Record:
    """The last line of a run's log; {} if there is none."""
    return next(reversed(read_log(run)), {})
