"""How many pictures a slow suite has time for, by the pace of a few."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lantu.recipes.generator import ModelGenerator
from lantu.recipes.pictures import TruePicture, stacked

TRIED = 2  # pictures that the pace is measured on
SHARE = {"reconstruction": 0.1, "drawing": 0.25, "caption": 0.35, "variety": 0.25}  # of the time
CALLS = {"reconstruction": 1, "drawing": 1, "caption": 2, "variety": 4}  # drawings or captions of each picture
LEAST = 4
ANY = "a picture"  # is drawn where there is no caption


@dataclass(frozen=True)
class Pace:
    """Seconds of a drawing and of a caption.

    Attributes:
        seconds: in all; None for no limit.
    """

    drawing: float = 0.0
    caption: float = 0.0
    seconds: float | None = None

    @classmethod
    def of(
        cls, generator: ModelGenerator, pictures: Sequence[TruePicture], minutes: float | None, captions: bool = False
    ) -> "Pace":
        """Measure it, where there is a limit; that of captions where they are wanted."""
        some = pictures[:TRIED]
        if minutes is None or not some:
            return cls()
        prompts = [one.prompt or ANY for one in some]
        generator.draw(prompts[:1], [0])  # what is loaded now is not measured
        began = time.monotonic()
        generator.draw(prompts, list(range(len(some))))
        drawn = time.monotonic()
        if captions:
            generator.caption(stacked(some), some[0].language)
        return cls((drawn - began) / len(some), (time.monotonic() - drawn) / len(some), 60 * minutes)

    def pictures(self, suite: str, most: int) -> int:
        """How many of ``most`` pictures there is time for."""
        if self.seconds is None:
            return most
        each = CALLS[suite] * (self.caption if suite == "caption" else self.drawing)
        return min(most, max(LEAST, int(SHARE[suite] * self.seconds / max(each, 1e-9))))
