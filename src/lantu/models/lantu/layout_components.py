"""What the layout of lantu's own family needs of the parts of a model."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from lantu.engine.request import Request
from lantu.models.lantu.folder import LantuFolder
from lantu.tokens.bpe import TextCodec
from lantu.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lantu.data.memory_bank import MemoryBank


class Components(Protocol):
    """What the layout needs of a model's parts."""

    @property
    def folder(self) -> LantuFolder: ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The id space."""
        ...

    @property
    def text(self) -> TextCodec:
        """The text tokenizer."""
        ...

    @property
    def guidance_scales(self) -> tuple[float, ...]:
        """Guidance scales that the language model has learnt to apply by itself."""
        ...

    @property
    def memory_bank(self) -> "MemoryBank":
        """Pictures that can be found for a prompt."""
        ...

    def encode(self, pictures: np.ndarray) -> np.ndarray: ...

    def check(self, request: Request) -> None:
        """Refuse what the backend can't draft."""
        ...
