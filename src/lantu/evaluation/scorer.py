"""Does a picture show what the prompt asks for? One verdict per trial, from the picture alone.

Things are what differs from the background. Each is identified as the nearest drawing of the gallery, and the answer is
right if that is a drawing of the requested concept, in any style. docs/evaluation.md measures what this gets wrong.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from lantu.evaluation.foreground import Box, around, foreground, patches
from lantu.evaluation.results import Verdict
from lantu.evaluation.retrieval import Retrieval, crop
from lantu.evaluation.trial import Trial
from lantu.types import Placed

EMPTY = 0.001  # foreground on less than this share of a picture is nothing
PART = 0.3  # in a count of equal things, a patch below this share of the largest is a part that hangs loose
LARGEST = 6  # so many things at most are looked at in a count


class Scorer:
    """Judges pictures with a gallery.

    Args:
        retrieval: the gallery.
    """

    def __init__(self, retrieval: Retrieval):
        self.retrieval = retrieval

    def judge(self, trials: Iterable[Trial], images: Iterable[np.ndarray]) -> list[Verdict]:
        """One verdict for each trial and the picture, (H, W, 3) uint8, that answers it."""
        ways = {"counts": self.count, "style": self.style}
        return [ways.get(trial.suite, self.content)(trial, image) for trial, image in zip(trials, images, strict=True)]

    def content(self, trial: Trial, image: np.ndarray) -> Verdict:
        """Is each requested thing in its place?

        "score" asks for all of them, "there" for all in any place, "some" is the share in place.
        """
        found = [self.name(cosines) for cosines in self.look(image, regions(trial, image))]
        wanted = [placed.concept for placed in trial.expected]
        right = [concept == its for concept, its in zip(found, wanted, strict=True)]
        there = Counter(found) == Counter(wanted)
        return {"score": float(all(right)), "there": float(there), "some": float(np.mean(right))}

    def count(self, trial: Trial, image: np.ndarray) -> Verdict:
        """As many things as requested, most of them of the concept; "number" and "concept" judge one condition each."""
        mask = foreground(image)
        boxes = patches(mask, PART) if mask.mean() > EMPTY else []
        number = len(boxes) == len(trial.expected)
        seen = Counter(self.name(cosines) for cosines in self.look(image, boxes[:LARGEST]))
        concept = bool(boxes) and seen.most_common(1)[0][0] == trial.expected[0].concept
        return {"score": float(number and concept), "number": float(number), "concept": float(concept)}

    def style(self, trial: Trial, image: np.ndarray) -> Verdict:
        """Is the nearest drawing of the requested concept one of the requested style?

        "concept" judges the content, as ``content`` does; the style of another thing is a guess among all styles.
        """
        style, concept = [], []
        for cosines, placed in zip(self.look(image, regions(trial, image)), trial.expected, strict=True):
            concept.append(self.name(cosines) == placed.concept)
            style.append(cosines is not None and self.retrieval.nearest(cosines, placed.concept).style == placed.style)
        return {"score": float(all(style)), "concept": float(all(concept))}

    def look(self, image: np.ndarray, areas: Sequence[Box]) -> list[np.ndarray | None]:
        """How near the content of each area is to each drawing of the gallery; None for an empty area."""
        mask = foreground(image)
        crops, places = [], []
        for place, (x0, y0, x1, y1) in enumerate(areas):
            part = np.zeros_like(mask)
            part[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
            if part.mean() > EMPTY:
                crops.append(crop(image, part, around(patches(part))))
                places.append(place)
        found: list[np.ndarray | None] = [None] * len(areas)
        if crops:
            for place, cosines in zip(places, self.retrieval.compare(np.stack(crops)), strict=True):
                found[place] = cosines
        return found

    def name(self, cosines: np.ndarray | None) -> str:
        """The nearest concept; "" for nothing."""
        return "" if cosines is None else self.retrieval.nearest(cosines).concept


def regions(trial: Trial, image: np.ndarray) -> list[Box]:
    """Where each expected thing is looked for, in pixels.

    One thing may be anywhere, and each of two in its half, since a prompt says no more than that. In a reconstruction,
    and among more things, each must be where it was.
    """
    height, width = image.shape[:2]
    expected = trial.expected
    if trial.suite != "reconstruction" and len(expected) == 1:
        return [(0, 0, width, height)]
    if trial.suite != "reconstruction" and len(expected) == 2:
        return halves(expected[0], expected[1], height, width)
    scale = np.array([width, height, width, height])
    return [tuple(np.round(np.array(placed.box) * scale).astype(int).tolist()) for placed in expected]


def halves(first: Placed, second: Placed, height: int, width: int) -> list[Box]:
    """The half of the picture for each of two things, cut across the direction in which they are further apart."""
    (ax, ay), (bx, by) = (((p.box[0] + p.box[2]) / 2, (p.box[1] + p.box[3]) / 2) for p in (first, second))
    if abs(ax - bx) >= abs(ay - by):
        pair: list[Box] = [(0, 0, width // 2, height), (width // 2, 0, width, height)]
        return pair if ax < bx else pair[::-1]
    pair = [(0, 0, width, height // 2), (0, height // 2, width, height)]
    return pair if ay < by else pair[::-1]
