"""The sizes of an image tokenizer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TokenizerConfig(BaseModel):
    """Sizes of an image tokenizer.

    Attributes:
        size: pixels a side of the pictures it was trained on; any multiple of ``patch`` works.
        patch: pixels a side of the cell that one code stands for.
        width, encoder_layers, decoder_layers: of the two transformers. Heads are 64 wide (or the width, if less).
        quantizer: "vq" (a codebook of moving averages), "following" (one that updates rare codes as well), "fsq" (a
            fixed lattice) or "simvq" (a learnt linear map of a frozen codebook).
        codebook_size: number of codes; for "fsq" the product of ``levels``.
        code_width: of the space in which codes are looked up; for "fsq" the number of levels.
        levels: of each axis of the lattice, for "fsq".
        semantic_width: channels of the vision features that are predicted from the codes; 0 for none.
        reach: pixels a side of the window around a cell that the encoder's first layer sees. Above ``patch`` windows
            overlap; 0 is the cell alone.
        encoder_window: cells a side of the windows within which the encoder's tokens attend to one another; 0 is the
            whole picture. With 1 a code depends on its ``reach`` of pixels alone, so that a thing keeps its codes
            beside any other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 192
    patch: int = 16
    width: int = 256
    encoder_layers: int = 4
    decoder_layers: int = 4
    quantizer: Literal["vq", "following", "fsq", "simvq"] = "vq"
    codebook_size: int = Field(4096, ge=2, le=65536)
    code_width: int = 64
    levels: tuple[int, ...] = ()
    semantic_width: int = 112
    reach: int = Field(0, ge=0)
    encoder_window: int = Field(0, ge=0)

    @model_validator(mode="after")
    def fits(self):
        """Check the sizes against one another."""
        if self.size % self.patch:
            raise ValueError(f"size {self.size} is not a multiple of patch {self.patch}")
        if self.reach and (self.reach < self.patch or (self.reach - self.patch) % 2 or self.reach % 8):
            raise ValueError(f"a reach of {self.reach} pixels isn't a multiple of 8 that leaves a rim around a cell")
        if self.quantizer == "fsq":
            product = 1
            for level in self.levels:
                product *= level
            if product != self.codebook_size or len(self.levels) != self.code_width:
                raise ValueError(f"levels {self.levels} don't make a codebook of {self.codebook_size}")
        return self

    @property
    def heads(self) -> int:
        """Attention heads, 64 wide or less."""
        return max(1, self.width // 64)

    @property
    def rim(self) -> int:
        """Pixels that the first layer sees beyond the cell, on each side."""
        return (self.reach - self.patch) // 2 if self.reach else 0

    def describe(self) -> str:
        """As JSON, without later options that are off, so that a tokenizer of an older version keeps its digest."""
        later = {"reach", "encoder_window"}
        return self.model_dump_json(exclude={name for name in later if not getattr(self, name)})

    @property
    def grid(self) -> int:
        """Codes a side, at the training size."""
        return self.size // self.patch
