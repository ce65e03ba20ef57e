"""What can go wrong through no fault of ours, and how each is mended.

The command line prints these on one line and exits with code 2; anything else is our fault (exit code 1).
"""


class LantuError(Exception):
    """Bad input or bad usage.

    Args:
        message: what is wrong, in a few words, without a full stop.
        hint: what the user can do about it, without a full stop.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class AbilityError(LantuError):
    """The model was not taught what it is asked for.

    Args:
        ability: the one that it lacks, e.g. "talking".
    """

    def __init__(self, message: str, hint: str = "", ability: str = ""):
        super().__init__(message, hint)
        self.ability = ability


class PromptError(LantuError):
    """The prompt is empty, too long or not text."""


class ImageError(LantuError):
    """A picture is missing, corrupt, or of a size that does not fit."""


class ModelError(LantuError):
    """A model directory is missing, incomplete or of another kind."""


class DataError(LantuError):
    """A data set is missing, incomplete or corrupt."""


class RecipeError(LantuError):
    """A recipe, or a setting of one, is unknown or out of range."""


class DiskError(LantuError):
    """A file can't be written, or something else is refused by the system."""


class OutputError(LantuError):
    """What a command says can't be written to stdout."""
