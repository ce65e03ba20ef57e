"""Settings that say nothing where training starts from a model, and those that say nothing where it does not.

Given together with ``start``, or without it, they would be ignored in silence; so that is refused.
"""

from collections.abc import Sequence
from typing import Any

from lantu.errors import RecipeError
from lantu.recipes.sources import BEGINNINGS

SIZES = {"language": ("width", "layers", "heads", "inner", "text_size"), "decoder": ("width", "layers")}
OF_STARTS = {"language": ("added", "settled", "origin", "reverted")}


def check(part: str, settings: Any, overrides: Sequence[str]) -> None:
    """Refuse settings that were given and that the others overrule.

    Args:
        overrides: ``key=value`` as they were given.

    Raises:
        RecipeError: there is such a setting.
    """
    start = getattr(settings, "start", None)
    if start is None:
        return
    given = [each.partition("=")[0] for each in overrides]
    goes_on = bool(start) and start not in BEGINNINGS
    if unused := [name for name in (SIZES if goes_on else OF_STARTS).get(part, ()) if name in given]:
        names = ", ".join(unused)
        if goes_on:
            raise RecipeError(f"{names}: the model in {start} has its own", f"leave out {names}, or the start")
        raise RecipeError(f"{names}: nothing to start from", f"name a model with --start, or leave out {names}")
