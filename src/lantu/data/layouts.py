"""Fixed layouts: a layout is a few slots for objects, and the relation that captions may mention.

Slots are fractions of the picture. They are few, and the edges of large ones are multiples of an eighth, so that the
same drawing covers the same cells again and again: so its codes can be learnt from few pictures.
"""

from dataclasses import dataclass

Box = tuple[float, float, float, float]


def square(x: float, y: float, side: float) -> Box:
    """x0, y0, x1, y1 of a square slot, from eighths."""
    return x / 8, y / 8, (x + side) / 8, (y + side) / 8


@dataclass(frozen=True)
class Layout:
    """Slots, and the relation of what stands in them.

    Attributes:
        relation: names the phrases that fit it.
        slots: one per drawing, in the order of the phrases' places.
        same: all slots show the same concept ("three apples").
    """

    relation: str
    slots: tuple[Box, ...]
    same: bool = False


LEFT, RIGHT, TOP, BOTTOM = square(0, 2, 4), square(4, 2, 4), square(2, 0, 4), square(2, 4, 4)
TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT = (square(x, y, 4) for y in (0, 4) for x in (0, 4))
THIRDS = tuple((left, 1 / 3, left + 1 / 3, 2 / 3) for left in (0.0, 1 / 3, 2 / 3))

# share of all pictures, layout
LAYOUTS: tuple[tuple[float, Layout], ...] = (
    (0.26, Layout("one", (square(1, 1, 6),))),
    (0.06, Layout("big", (square(0, 0, 8),))),
    (0.03, Layout("small", (square(2, 2, 4),))),
    (0.01, Layout("top left", (TOP_LEFT,))),
    (0.01, Layout("top right", (TOP_RIGHT,))),
    (0.01, Layout("bottom left", (BOTTOM_LEFT,))),
    (0.01, Layout("bottom right", (BOTTOM_RIGHT,))),
    (0.30, Layout("beside", (LEFT, RIGHT))),
    (0.10, Layout("above", (TOP, BOTTOM))),
    (0.02, Layout("diagonal", (TOP_LEFT, BOTTOM_RIGHT))),
    (0.04, Layout("between", THIRDS)),
    (0.03, Layout("roof", (TOP, BOTTOM_LEFT, BOTTOM_RIGHT))),
    (0.02, Layout("corners", (TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT))),
    (0.04, Layout("count", (LEFT, RIGHT), same=True)),
    (0.03, Layout("count", (TOP, BOTTOM_LEFT, BOTTOM_RIGHT), same=True)),
    (0.03, Layout("count", (TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT), same=True)),
)
