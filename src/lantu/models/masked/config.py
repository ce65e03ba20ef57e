"""The config.json of a bidirectional language model: of a masked one, and what others share with it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lantu.kernels.blocks import heads_of
from lantu.weights.names import MASKED


class BidirectionalConfig(BaseModel):
    """Sizes of a bidirectional transformer over codes and a prompt.

    Attributes:
        width, layers: of the transformer. Heads are 64 wide (or the width, if less).
        passes: forward passes of a draft.
        max_position_embeddings: ids of a prompt and its codes together.
        lantu: text_size, codebook_size, grid (height and width in codes), learnt (always empty), and the codes digest
            of the image tokenizer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architectures: tuple[str, ...]
    model_type: str
    dtype: str = "float32"
    width: int = 192
    layers: int = 4
    passes: int = Field(12, ge=1)
    max_position_embeddings: int = 4096
    lantu: dict[str, Any]

    @property
    def heads(self) -> int:
        """Attention heads."""
        return heads_of(self.width)


class MaskedConfig(BidirectionalConfig):
    """How a masked language model drafts.

    Attributes:
        choice_temperature: scale of the Gumbel noise on the confidence by which codes are kept, at the first pass; it
            falls linearly to 0 (MaskGIT, arXiv:2202.04200).
    """

    architectures: tuple[str, ...] = ("MaskedTransformer",)
    model_type: str = MASKED
    choice_temperature: float = Field(4.5, ge=0)
