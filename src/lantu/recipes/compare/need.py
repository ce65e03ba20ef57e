"""Whether a system draws recognisable things at its budget, and if not, what budget it would need.

The curve of single things, the easier half of the score, is extended: the logit of the share right against the
logarithm of the operations, by the straight line of the last two budgets. That is a guess, and says so; a system of
which it can't be made is not claimed anything of.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

RECOGNISABLE = 0.5  # share of single things right from which on a system counts as one that draws
FARTHEST = 1e4  # times the largest budget, beyond which the line says nothing

Points = Sequence[tuple[float, Mapping[str, Any]]]  # operations, share of single things right with its interval


def recognisable(points: Points) -> dict[str, Any]:
    """What may be said of a system, by its curve, from the least to the largest budget.

    Args:
        points: none if nothing of it could be scored; operations of 0 are not known.

    Returns:
        "holds": whether it draws recognisable things at the largest budget; "share": of single things right there;
        "flops", there; "needed": operations at which half would be right, None where that can't be told.
    """
    if not points:
        return {"holds": False, "share": 0.0, "flops": 0.0, "needed": None}
    flops, last = points[-1]
    holds = last["value"] >= RECOGNISABLE
    return {
        "holds": holds,
        "share": last["value"],
        "flops": flops,
        "needed": flops if holds else extended(points),
    }


def extended(points: Points) -> float | None:
    """Operations at which the line through the last two points reaches ``RECOGNISABLE``; None where it never does.

    A rise counts only where the later share is above the earlier one's interval.
    """
    if len(points) < 2:
        return None
    (before, low), (after, high) = points[-2:]
    if high["value"] <= low["interval"][1] or after <= before:
        return None
    # A share of 0 has no logit: half a trial stands for none.
    first, second = (logit(max(one["value"], 0.5 / one["n"])) for one in (low, high))
    steps = (logit(RECOGNISABLE) - second) / (second - first)
    needed = after * (after / before) ** steps
    return needed if needed <= FARTHEST * after else None


def logit(share: float) -> float:
    """log(p / (1 - p))."""
    return math.log(share / (1 - share))


def said(name: str, found: Mapping[str, Any]) -> str:
    """A line about a system that doesn't draw recognisable things."""
    drawn = f"{name}: {found['share']:.0%} of single things"
    drawn += f" at {found['flops']:.2g} operations" if found["flops"] else ""
    if found["needed"] is None:
        return f"{drawn}; its curve doesn't tell how many it would need"
    times = found["needed"] / found["flops"]
    return f"{drawn}; if its curve goes on, half of them at about {found['needed']:.1g}, {times:.2g} times as many"
