"""Models of workers on other machines."""

from pathlib import Path
from typing import TYPE_CHECKING

from lantu.errors import ModelError

if TYPE_CHECKING:
    from lantu.pipeline import Model


def opened(path: Path, digest: str, device: str, backend: str = "native") -> "Model":
    """A model, as this machine has it.

    Raises:
        ModelError: it is another one here.
    """
    from lantu.pipeline import Model

    model = Model.load(path, device, backend)
    if model.digest != digest:
        raise ModelError(f"{path} is another model on a worker", "give all machines the same files")
    return model
