"""Settings of recipes for tests."""

from lantu.training.config import override


def settings(recipe, *changes):
    """The recipe on a CPU in float32, with changes of the form ``key=value``."""
    return override(recipe, ["loop.device=cpu", "loop.precision=fp32", *changes])
