"""Random layouts: things anywhere, from a quarter of the picture's side to the whole of it.

Every phrase of a layout's relation is true of it: "left" is within the left half, "above" is higher, and boxes never
overlap. Boxes are fractions of the picture.
"""

import itertools
from collections.abc import Callable

import numpy as np

from lantu.data.layouts import Box, Layout

LEAST = 0.25  # of the picture's side
MOST = 6  # of the same thing
CORNERS = {
    "top left": (0, 0),
    "top right": (1, 0),
    "bottom left": (0, 1),
    "bottom right": (1, 1),
}
SIDES = {"left": (0, None), "right": (1, None), "top": (None, 0), "bottom": (None, 1)}
CLEAR = 0.12  # the largest distance of a thing at a side from the middle of that side
TRIES = 300


def anywhere(rng: np.random.Generator) -> Layout:
    """A random layout, of a kind chosen by ``SHARES``."""
    return SHARES[int(np.searchsorted(CUMULATED, rng.random() * CUMULATED[-1]))][1](rng)


def within(area: Box, rng: np.random.Generator, least: float = LEAST, most: float = 1.0) -> Box:
    """A random square within an area, its side uniform from ``least`` to the area's shorter side."""
    x0, y0, x1, y1 = area
    side = rng.uniform(min(least, x1 - x0, y1 - y0), min(most, x1 - x0, y1 - y0))
    x, y = x0 + rng.random() * (x1 - x0 - side), y0 + rng.random() * (y1 - y0 - side)
    return float(x), float(y), float(x + side), float(y + side)


def alone(rng: np.random.Generator) -> Layout:
    """One thing of any size, anywhere."""
    side = LEAST ** rng.random()  # small ones as often as large ones
    return Layout("alone", (within((0, 0, 1, 1), rng, side, side),))


def big(rng: np.random.Generator) -> Layout:
    """One thing that fills most of the picture."""
    return Layout("big", (within((0, 0, 1, 1), rng, 0.88),))


def small(rng: np.random.Generator) -> Layout:
    """One small thing."""
    return Layout("tiny", (within((0, 0, 1, 1), rng, LEAST, 0.36),))


def middle(rng: np.random.Generator) -> Layout:
    """One thing near the centre, where "in the middle" is said."""
    side = rng.uniform(LEAST, 0.8)
    room = min(0.06, (1 - side) / 2)
    x, y = (0.5 - side / 2 + rng.uniform(-room, room) for _ in range(2))
    return Layout("middle", ((float(x), float(y), float(x + side), float(y + side)),))


def side(rng: np.random.Generator) -> Layout:
    """One thing at a side: its box ends before the picture's middle, and it is centred near the middle of that side."""
    name = list(SIDES)[rng.integers(len(SIDES))]
    across, down = SIDES[name]
    width = rng.uniform(LEAST, 0.5)
    along = float(0.5 - width / 2 + rng.uniform(-CLEAR, CLEAR))
    out = float(rng.random() * (0.5 - width))
    x = along if across is None else out if across == 0 else 1 - out - width
    y = along if down is None else out if down == 0 else 1 - out - width
    return Layout(name, ((x, y, x + width, y + width),))


def corner(rng: np.random.Generator) -> Layout:
    """One thing in a corner's quarter."""
    name = list(CORNERS)[rng.integers(4)]
    return Layout(name, (within(quarter(*CORNERS[name]), rng),))


def quarter(column: int, row: int) -> Box:
    """The quarter of the picture in a column and a row, each 0 or 1."""
    return column / 2, row / 2, (column + 1) / 2, (row + 1) / 2


def row(rng: np.random.Generator, count: int) -> tuple[Box, ...]:
    """Boxes from left to right in strips of their own, at about the same height."""
    cuts = np.arange(count + 1) / count
    cuts[1:-1] += rng.uniform(-0.06, 0.06, count - 1)
    height = rng.uniform(0.35, 0.65)
    boxes = []
    for left, right in itertools.pairwise(cuts):
        width = rng.uniform(min(LEAST, right - left), right - left)
        x = left + rng.random() * (right - left - width)
        y = np.clip(height - width / 2 + rng.uniform(-0.08, 0.08), 0, 1 - width)
        boxes.append((float(x), float(y), float(x + width), float(y + width)))
    return tuple(boxes)


def turned(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    """The layout with left to right turned into top to bottom."""
    return tuple((y0, x0, y1, x1) for x0, y0, x1, y1 in boxes)


def beside(rng: np.random.Generator) -> Layout:
    """Two things side by side."""
    return Layout("beside", row(rng, 2))


def above(rng: np.random.Generator) -> Layout:
    """Two things, one above the other."""
    return Layout("above", turned(row(rng, 2)))


def between(rng: np.random.Generator) -> Layout:
    """Three things in a row."""
    return Layout("between", row(rng, 3))


def stacked(rng: np.random.Generator) -> Layout:
    """Three things in a column."""
    return Layout("stacked", turned(row(rng, 3)))


def diagonal(rng: np.random.Generator) -> Layout:
    """Two things in opposite corners."""
    names = (("diagonal", "top left", "bottom right"), ("other diagonal", "top right", "bottom left"))
    relation, first, second = names[rng.integers(2)]
    return Layout(relation, tuple(within(quarter(*CORNERS[name]), rng, 0.3) for name in (first, second)))


def roof(rng: np.random.Generator) -> Layout:
    """Three things, one of them above the other two."""
    top = within((0.15, 0, 0.85, 0.5), rng)
    return Layout("roof", (top, *(within(quarter(column, 1), rng) for column in (0, 1))))


def corners(rng: np.random.Generator) -> Layout:
    """Four things, one in each corner."""
    return Layout("corners", tuple(within(quarter(*place), rng) for place in CORNERS.values()))


def count(rng: np.random.Generator) -> Layout:
    """Two to six of the same thing."""
    return scattered(int(rng.integers(2, MOST + 1)), rng)


def scattered(number: int, rng: np.random.Generator) -> Layout:
    """Several of the same thing, of one size, apart from one another."""
    most = {2: 0.5, 3: 0.45, 4: 0.42, 5: 0.34, 6: 0.32}[number]
    side = rng.uniform(LEAST, most)
    while True:
        for _ in range(TRIES):
            corners = rng.random((number, 2)) * (1 - side)
            gaps = np.abs(corners[:, None] - corners[None]).max(-1) + np.eye(number)
            if gaps.min() >= side:
                boxes = [(float(x), float(y), float(x + side), float(y + side)) for x, y in corners]
                return Layout("count", tuple(boxes), same=True)
        side *= 0.94


# share of all pictures, what draws the layout
SHARES: tuple[tuple[float, Callable[[np.random.Generator], Layout]], ...] = (
    (0.20, alone),
    (0.04, big),
    (0.04, small),
    (0.05, middle),
    (0.06, side),
    (0.05, corner),
    (0.22, beside),
    (0.10, above),
    (0.04, diagonal),
    (0.05, between),
    (0.02, stacked),
    (0.02, roof),
    (0.01, corners),
    (0.10, count),
)
CUMULATED = np.cumsum([share for share, _ in SHARES])
