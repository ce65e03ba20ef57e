"""The sizes of a diffusion decoder."""

from pydantic import BaseModel, ConfigDict, Field


class DecoderConfig(BaseModel):
    """Sizes of a diffusion decoder.

    Attributes:
        patch: pixels a side painted for one code. It may differ from the tokenizer's: codes taken at 128 px can be
            rendered at 192.
        width, layers: of the transformer. Heads are 64 wide (or the width, if less).
        codebook_size: of the tokenizer whose codes it renders.
        tokenizer: that tokenizer's codes digest (``ImageTokenizer.codes_digest``); "" if unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: int = 16
    width: int = 256
    layers: int = 6
    codebook_size: int = Field(4096, ge=2, le=65536)
    tokenizer: str = ""

    @property
    def heads(self) -> int:
        """Attention heads, 64 wide or less."""
        return max(1, self.width // 64)
