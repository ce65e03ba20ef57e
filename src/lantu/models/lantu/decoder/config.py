"""The sizes of a diffusion decoder."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DecoderConfig(BaseModel):
    """Sizes of a diffusion decoder.

    Attributes:
        patch: pixels a side painted for one code. It may differ from the tokenizer's: codes taken at 128 px can be
            rendered at 192.
        width, layers: of the transformer. Heads are 64 wide (or the width, if less).
        codebook_size: of the tokenizer whose codes it renders; of all levels together, where a cell has several codes.
        depth: codes of a cell, side by side.
        queries: codes of a picture, where they are a sequence (1-D tokens); 0 for a grid, a code a cell.
        nested: the fewest codes of a sequence that make a picture; 0 where it takes all.
        cells: cells a side of the pictures that a sequence makes; 0 for a grid.
        tokenizer: that tokenizer's codes digest (``ImageTokenizer.codes_digest``); "" if unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: int = 16
    width: int = 256
    layers: int = 6
    codebook_size: int = Field(4096, ge=2, le=65536)
    depth: int = Field(1, ge=1, le=16)
    queries: int = Field(0, ge=0, le=4096)
    nested: int = Field(0, ge=0)
    cells: int = Field(0, ge=0)
    tokenizer: str = ""

    @model_validator(mode="after")
    def fits(self):
        """Check the numbers of codes against one another."""
        if self.codebook_size % self.depth or (self.depth > 1 and self.queries):
            raise ValueError(f"{self.codebook_size} codes can't be those of {self.depth} levels of a grid's cells")
        if bool(self.queries) != bool(self.cells):
            raise ValueError(f"a sequence of {self.queries} codes for {self.cells} cells a side: set both or neither")
        if self.nested > self.queries:
            raise ValueError(f"no prefix of {self.nested} codes in a sequence of {self.queries}")
        return self

    @property
    def heads(self) -> int:
        """Attention heads, 64 wide or less."""
        return max(1, self.width // 64)
