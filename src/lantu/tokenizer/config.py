"""What a tokenizer is made of."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TokenizerConfig(BaseModel):
    """Sizes of an image tokenizer.

    Attributes:
        size: pixels a side of the pictures it was trained on; any multiple of ``patch`` works.
        patch: pixels a side of the cell that one code stands for.
        width, encoder_layers, decoder_layers: of the two transformers. Heads are 64 wide (or the width, if less).
        quantizer: "vq" (learnt codebook, moving averages), "fsq" (fixed lattice) or "simvq" (a learnt linear
            map of a frozen codebook).
        codebook_size: codes; for "fsq" the product of ``levels``.
        code_width: of the space in which codes are looked up; for "fsq" the number of levels.
        levels: of each axis of the lattice, for "fsq".
        semantic_width: channels of the vision features that the codes must explain; 0 for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 192
    patch: int = 16
    width: int = 256
    encoder_layers: int = 4
    decoder_layers: int = 4
    quantizer: Literal["vq", "fsq", "simvq"] = "vq"
    codebook_size: int = Field(4096, ge=2, le=65536)
    code_width: int = 64
    levels: tuple[int, ...] = ()
    semantic_width: int = 112

    @model_validator(mode="after")
    def fits(self):
        if self.size % self.patch:
            raise ValueError(f"size {self.size} is not a multiple of patch {self.patch}")
        if self.quantizer == "fsq":
            product = 1
            for level in self.levels:
                product *= level
            if product != self.codebook_size or len(self.levels) != self.code_width:
                raise ValueError(f"levels {self.levels} don't make a codebook of {self.codebook_size}")
        return self

    @property
    def heads(self) -> int:
        return max(1, self.width // 64)

    @property
    def grid(self) -> int:
        """Codes a side, at the training size."""
        return self.size // self.patch
