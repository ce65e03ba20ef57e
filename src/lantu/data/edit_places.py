"""Where things stand before and after an instruction: in slots of ``layouts``, or anywhere. Boxes are fractions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lantu.data import anywhere
from lantu.data.backgrounds import ALL, BACKGROUNDS, Background
from lantu.data.layouts import BOTTOM, LEFT, RIGHT, TOP, Box, square
from lantu.data.scenes import WHITE, WHITE_ANYWHERE

WHOLE = square(1, 1, 6)
SLOTS = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
SIDES = {"beside": ("left", "right"), "above": ("top", "bottom")}  # of a pair's first and second thing
BESIDE = 0.7  # share of pairs that stand side by side


@dataclass(frozen=True)
class Spot:
    """Boxes of one thing or two, and the relation that captions say of them, a key of ``phrases.PHRASES``."""

    relation: str
    boxes: tuple[Box, ...]


class Places(Protocol):
    """What the instructions of a placement need."""

    grounds: Mapping[str, Background]
    white: float  # share of scenes on white

    def alone(self, rng: np.random.Generator) -> Spot:
        """A place for one thing."""
        ...

    def pair(self, rng: np.random.Generator) -> Spot:
        """Places for two things, side by side or one above the other."""
        ...

    def kept(self, spot: Spot, place: int) -> Spot:
        """One thing of a pair, where it is."""
        ...

    def across(self, rng: np.random.Generator) -> tuple[str, Spot, Spot]:
        """The name of a side to which a thing moves, with its place before, at the opposite one, and after."""
        ...


class Slots:
    """The few slots of ``layouts``."""

    grounds: Mapping[str, Background] = BACKGROUNDS
    white: float = WHITE

    def alone(self, rng: np.random.Generator) -> Spot:
        return Spot("one", (WHOLE,))

    def pair(self, rng: np.random.Generator) -> Spot:
        relation = "beside" if rng.random() < BESIDE else "above"
        return Spot(relation, tuple(SLOTS[side] for side in SIDES[relation]))

    def kept(self, spot: Spot, place: int) -> Spot:
        return Spot("one", (spot.boxes[place],))

    def across(self, rng: np.random.Generator) -> tuple[str, Spot, Spot]:
        start = list(OPPOSITE)[rng.integers(4)]
        goal = OPPOSITE[start]
        return goal, Spot("one", (SLOTS[start],)), Spot("one", (SLOTS[goal],))


class Anywhere:
    """The layouts of ``anywhere``, on all backgrounds."""

    grounds: Mapping[str, Background] = ALL
    white: float = WHITE_ANYWHERE

    def alone(self, rng: np.random.Generator) -> Spot:
        return Spot("alone", anywhere.alone(rng).slots)

    def pair(self, rng: np.random.Generator) -> Spot:
        layout = anywhere.beside(rng) if rng.random() < BESIDE else anywhere.above(rng)
        return Spot(layout.relation, layout.slots)

    def kept(self, spot: Spot, place: int) -> Spot:
        return Spot("alone", (spot.boxes[place],))

    def across(self, rng: np.random.Generator) -> tuple[str, Spot, Spot]:
        """The thing keeps its size, and its distance from the edge."""
        start = anywhere.side(rng)
        ((x0, y0, x1, y1),) = start.slots
        flipped = (1 - x1, y0, 1 - x0, y1) if start.relation in SIDES["beside"] else (x0, 1 - y1, x1, 1 - y0)
        goal = OPPOSITE[start.relation]
        return goal, Spot(start.relation, start.slots), Spot(goal, (flipped,))


PLACES: Mapping[str, Places] = {"slots": Slots(), "anywhere": Anywhere()}
