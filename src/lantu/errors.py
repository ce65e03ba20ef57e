"""Errors that the user can fix, each with a hint.

The command line prints them on one line and exits with code 2; any other exception is a bug (exit code 1).
"""

TRAINING = "pip install 'lantu[train]'"  # the hint where a package is missing that drawing alone doesn't need


class LantuError(Exception):
    """Bad input or bad usage.

    Args:
        message: what is wrong, in a few words, without a full stop.
        hint: how to fix it, without a full stop.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class AbilityError(LantuError):
    """The model lacks an ability.

    Args:
        ability: its name, e.g. "talking".
    """

    def __init__(self, message: str, hint: str = "", ability: str = ""):
        super().__init__(message, hint)
        self.ability = ability


class PromptError(LantuError):
    """The prompt is empty, too long or not text."""


class ImageError(LantuError):
    """A picture is missing, corrupt, or has the wrong size."""


class ModelError(LantuError):
    """A model directory is missing, incomplete or of an unknown kind."""


class DataError(LantuError):
    """A data set is missing, incomplete or damaged."""


class RecipeError(LantuError):
    """A recipe, or a setting of one, is unknown or out of range."""


class DiskError(LantuError):
    """A file can't be written, or the operating system refuses something else."""


class OutputError(LantuError):
    """A command's output can't be written to stdout."""
