"""The config.json of what a continuous model has beside its language model, and of its decoder."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class VectorConfig(BaseModel):
    """What the vectors are, and how they are drafted.

    Attributes:
        space: "vision", embeddings of a frozen vision encoder, "features" of an image tokenizer before quantisation, or
            "pixels" of patches.
        head: "regression", or "diffusion" (MAR).
        patch: pixels a side that a drawing has for one cell.
        channels: E, numbers of a vector.
        width: of the language model.
        inner, layers: of the diffusion head.
        steps: in which it denoises a vector.
        reach: levels cover vectors from -reach to +reach on each axis.
        levels: how many on each axis.
        tokenizer: digest of the encoder, or codes digest of the image tokenizer, whose they are; "" for pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: Literal["features", "pixels", "vision"] = "features"
    head: Literal["regression", "diffusion"] = "regression"
    patch: int = Field(16, ge=1)
    channels: int = Field(64, ge=1)
    width: int = Field(256, ge=1)
    inner: int = Field(384, ge=1)
    layers: int = Field(3, ge=0)
    steps: int = Field(25, ge=1)
    reach: float = Field(8.0, gt=0)
    levels: int = Field(65536, ge=2)
    tokenizer: str = ""


class VectorDecoderConfig(BaseModel):
    """Sizes of a decoder of vectors; see ``lantu.models.lantu.decoder.config.DecoderConfig``.

    Attributes:
        vector_width: E, numbers of a vector.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: int = 16
    width: int = 256
    layers: int = 6
    vector_width: int = Field(64, ge=1)
    tokenizer: str = ""

    @property
    def heads(self) -> int:
        """Attention heads, 64 wide or less."""
        return max(1, self.width // 64)
