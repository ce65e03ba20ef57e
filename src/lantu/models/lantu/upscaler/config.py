"""The sizes of an upscaler."""

from pydantic import BaseModel, ConfigDict, Field


class UpscalerConfig(BaseModel):
    """Sizes of an upscaler.

    Attributes:
        factor: pixels a side that it paints for one.
        cell: pixels a side that its convolutions see as one place; sides of pictures are multiples of it.
        width: channels of the convolutions.
        layers: residual blocks of two convolutions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: int = Field(2, ge=2, le=8)
    cell: int = Field(2, ge=1, le=16)
    width: int = Field(48, ge=16, le=4096, multiple_of=16)
    layers: int = Field(5, ge=1, le=64)
