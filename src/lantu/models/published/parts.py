"""What the parts of published models share: lantu's engine on their language model, and what they can't do."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from lantu.engine.drafting import Drafter
from lantu.engine.engine import Engine
from lantu.errors import DataError, LantuError
from lantu.models.control import Control
from lantu.models.memory import Sparing
from lantu.models.spec import Grid

BATCH = 32  # requests that the batched drafter drafts together


@dataclass(frozen=True)
class PublishedParts(Sparing):
    """The base of a family's ``Parts`` (see ``lantu.models.spec``); each part is loaded when it is first needed.

    A family adds ``layout``, ``language`` and ``render``, where it reads pictures ``encode`` or ``read``, and names in
    ``freed`` the cached properties that hold its weights, where they are called otherwise.
    """

    folder: Any
    device: str = "cpu"
    backend: str = "native"

    previews = False  # a decoder that needs every code
    reads_pixels = False

    @property
    def language(self) -> Any:
        """The language model: an ``engine.backends.protocol.Backend``."""
        raise NotImplementedError

    @cached_property
    def drafter(self) -> Drafter:
        """Drafts requests together only where that changes nothing."""
        return Engine(self.language)

    @cached_property
    def batched_drafter(self) -> Drafter:
        """Drafts many requests together even where that rounds sums in another order."""
        return self.drafter if self.drafter.exact else Engine(self.language, max_jobs=BATCH)

    @property
    def exact(self) -> bool:
        """Pictures are decoded one by one."""
        return self.device == "cpu"

    def check_grid(self, codes_Bhw: np.ndarray, grid: Grid) -> None:
        """Refuse codes of another grid. Raises DataError."""
        if codes_Bhw.shape[1:] != grid:
            what = "a grid of {}x{} codes, the model has {}x{}".format(*codes_Bhw.shape[:0:-1], *grid[::-1])
            raise DataError(what, "give the codes of a picture made by this model")

    def control_processor(self, control: Control, grid: Grid) -> None:
        """Raises LantuError: the model follows no picture of control."""
        self.refuse_control()

    def refuse_control(self) -> NoReturn:
        """Raises LantuError."""
        raise LantuError(f"{self.folder.name} can't be controlled by a picture", "leave out the control")
