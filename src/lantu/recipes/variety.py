"""How far drawings of one caption are apart, beside true pictures of one caption and their round trips.

A model that draws the same picture for every seed has a variety of 0; one that draws what true pictures of a caption
differ in reaches theirs, the ceiling. Distances are one minus the cosine of the features of ``evaluation.likeness``,
the mean over all pairs; LPIPS too if it can be had.

Shapes: n drawings of a caption, H W pixels.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from lantu.evaluation.likeness import Eye, Likeness
from lantu.evaluation.results import SuiteResult, Verdict
from lantu.recipes.generator import ModelGenerator
from lantu.recipes.pace import CALLS
from lantu.recipes.pictures import Album, TruePicture, judge_of, stacked

SEEDS = CALLS["variety"]  # drawings of a caption
MOST = 16  # captions
FAR = 1_000_003  # between the seeds of one caption


class Exam(Protocol):
    """What of ``own.Exam`` is used."""

    @property
    def album(self) -> Album:
        """The pictures."""
        ...

    @property
    def seed(self) -> int:
        """Of the choice of pictures."""
        ...

    @property
    def note(self) -> Callable[[str], None]:
        """Called with a line for everything that differs."""
        ...

    @property
    def generator(self) -> ModelGenerator:
        """The model."""
        ...

    @property
    def eye(self) -> Eye:
        """Describes pictures."""
        ...

    @property
    def captioned(self) -> list[TruePicture]:
        """Pictures with captions."""
        ...

    def affordable(self, suite: str, pictures: list[TruePicture]) -> list[TruePicture]:
        """Those that there is time for."""
        ...

    def rebuilt(self, pictures: list[TruePicture]) -> np.ndarray:
        """Their round trips."""
        ...

    def perceptual(self, rebuilt: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """LPIPS of pairs, by name."""
        ...


def variety(exam: Exam) -> SuiteResult:
    """The mean distance between drawings of one caption; n captions.

    Where no caption has two true pictures, the ceiling is that of any two, which ``exam.note`` is told.
    """
    asked = distinct(exam.affordable("variety", exam.captioned))[:MOST]
    judge = judge_of(exam.album, asked, exam.eye, exam.seed)
    true = [exam.album.like(one.captions, SEEDS, exam.seed) for one in asked]
    true = [group for group in true if len(group) > 1]
    if not true:
        exam.note("no two pictures have the same caption: variety is beside that of any two pictures")
        true = [exam.captioned[:MOST]] if len(exam.captioned) > 1 else []
    drawn = [draw(exam, one, exam.seed + place) for place, one in enumerate(asked)]
    verdicts = {
        "score": [apart(exam, judge, images) for images in drawn],
        "round_trip": [apart(exam, judge, exam.rebuilt(group)) for group in true],
        "ceiling": [apart(exam, judge, stacked(group)) for group in true],
    }
    details = {kind: means(each) for kind, each in verdicts.items()}
    scores = [verdict["score"] for verdict in verdicts["score"]]
    error = float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0
    return SuiteResult(len(asked), details, error=error, unit="distance")


def distinct(pictures: Sequence[TruePicture]) -> list[TruePicture]:
    """The first picture of each caption."""
    return list({one.captions: one for one in reversed(pictures)}.values())[::-1]


def draw(exam: Exam, one: TruePicture, seed: int) -> np.ndarray:
    """Drawings of one caption from several seeds, (n, H, W, 3) uint8."""
    return exam.generator.draw([one.prompt] * SEEDS, [seed + FAR * number for number in range(SEEDS)])


def apart(exam: Exam, judge: Likeness, images: np.ndarray) -> Verdict:
    """The mean distance over all pairs of some pictures."""
    first, second = np.array(list(itertools.combinations(range(len(images)), 2))).T
    vectors = judge.join(judge.parts(images))
    far = float((1 - (vectors[first] * vectors[second]).sum(1)).mean())
    measured = {name: float(value.mean()) for name, value in exam.perceptual(images[first], images[second]).items()}
    return {"score": far, f"distance_{exam.eye.name}": far} | measured


def means(verdicts: Sequence[Verdict]) -> Verdict:
    """The mean of each entry; a score of 0 where there is nothing to compare."""
    if not verdicts:
        return {"score": 0.0}
    return {name: float(np.mean([one[name] for one in verdicts])) for name in verdicts[0]}
