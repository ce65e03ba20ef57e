"""The sizes of an image tokenizer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from lantu.models.lantu.sizes import Width
from lantu.tokens.vocabulary import MAX_CODES

ROW = 64  # codes in a row of a sequence; a grid has no longer rows
# Options that tokenizers of older versions lack, and their values there.
LATER = {
    **{"reach": 0, "encoder_window": 0, "stem": 0, "head": 0, "depth": 1, "queries": 0, "nested": 0},
    **{"latents": 0, "factor": 0, "codec": ""},
}


class TokenizerConfig(BaseModel):
    """Sizes of an image tokenizer.

    Attributes:
        size: pixels a side of the pictures it was trained on; any multiple of ``patch`` works.
        patch: pixels a side of the cell that one code stands for.
        width, encoder_layers, decoder_layers: of the two transformers. Heads are 64 wide (or the width, if less).
        quantizer: "vq" (a codebook of moving averages), "following" (one that updates rare codes as well), "fsq" (a
            fixed lattice) or "simvq" (a learnt linear map of a frozen codebook).
        codebook_size: number of codes, of each level where a cell has several; for "fsq" the product of ``levels``.
        code_width: of the space in which codes are looked up; for "fsq" the number of levels.
        levels: of each axis of the lattice, for "fsq".
        semantic_width: channels of the vision features that are predicted from the codes; 0 for none.
        reach: pixels a side of the window around a cell that the encoder's first layer sees. Above ``patch`` windows
            overlap; 0 is the cell alone.
        encoder_window: cells a side of the windows within which the encoder's tokens attend to one another; 0 is the
            whole picture. With 1 a code depends on its ``reach`` of pixels alone, so that a thing keeps its codes
            beside any other.
        stem: channels of the first stage of a convolutional stem whose result is added to the windows'; 0 for none. Its
            fields of view overlap, so a code depends less on where the grid lies.
        head: channels of the last stage of a convolutional head whose result is added to the painted patches; 0 for
            none. It sees across cells, which leaves no seams.
        depth: codes of a cell (residual quantisation): each stands for what the ones before it have left. A grid of h
            by w cells is then h by w·depth codes, those of a cell side by side. Codes from 0 are those of the first
            level, from ``codebook_size`` those of the second.
        queries: codes of a picture, whatever its size: a sequence in which each may depend on the ones before it (1-D
            tokens); 0 for a grid. They are written as one row, of more than ``ROW`` as rows of ``ROW``.
        nested: the fewest codes of a sequence that make a picture: the decoder also learns from prefixes of this length
            and more (nested dropout); 0 for whole sequences alone.
        latents: channels of the latents of a pretrained codec, which are encoded in place of pixels; 0 for pixels.
        factor: pixels a side of one latent.
        codec: SHA-256 of the codec's weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: PositiveInt = 192
    patch: PositiveInt = 16
    width: Width = 256
    encoder_layers: int = Field(4, ge=0)
    decoder_layers: int = Field(4, ge=0)
    quantizer: Literal["vq", "following", "fsq", "simvq"] = "vq"
    codebook_size: int = Field(4096, ge=2, le=65536)
    code_width: PositiveInt = 64
    levels: tuple[PositiveInt, ...] = ()
    semantic_width: int = Field(112, ge=0)
    reach: int = Field(0, ge=0)
    encoder_window: int = Field(0, ge=0)
    stem: int = Field(0, ge=0, le=1024)
    head: int = Field(0, ge=0, le=1024)
    depth: int = Field(1, ge=1, le=16)
    queries: int = Field(0, ge=0, le=4096)
    nested: int = Field(0, ge=0)
    latents: int = Field(0, ge=0, le=1024)
    factor: int = Field(0, ge=0)
    codec: str = ""

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
        self.check_latents()
        self.check_codes()
        return self

    def check_latents(self) -> None:
        """Check what the network sees against the patch."""
        if bool(self.latents) != bool(self.factor):
            raise ValueError(f"{self.latents} channels of latents, {self.factor} pixels a side: set both or neither")
        if self.latents and (self.patch % self.factor or self.reach):
            raise ValueError(f"latents of {self.factor} pixels need a patch that is a multiple of that, and no reach")
        if (self.stem or self.head) and self.cell & (self.cell - 1):
            raise ValueError(f"a convolutional stem or head needs a patch that is a power of two, not {self.cell}")

    def check_codes(self) -> None:
        """Check how many codes there are, and in which order."""
        if self.codes > MAX_CODES:
            raise ValueError(f"{self.depth} levels of {self.codebook_size:,} codes are more than {MAX_CODES:,}")
        if self.depth > 1 and self.grid * self.depth > ROW:
            raise ValueError(f"{self.depth} codes for each of {self.grid} cells in a row: {ROW} are the most")
        if self.depth > 1 and (self.quantizer != "following" or self.queries):
            raise ValueError(f"{self.depth} codes of a cell need the quantizer 'following' and a grid")
        if self.queries and (self.encoder_window or (self.queries > ROW and self.queries % ROW)):
            raise ValueError(f"a sequence of {self.queries} codes: {ROW} or fewer, or rows of {ROW}, without windows")
        if self.nested > self.queries:
            raise ValueError(f"no prefix of {self.nested} codes in a sequence of {self.queries}")

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
        return self.model_dump_json(exclude={name for name in LATER if getattr(self, name) == LATER[name]})

    @property
    def channels(self) -> int:
        """Of what the network sees: pixels or latents."""
        return self.latents or 3

    @property
    def cell(self) -> int:
        """Pixels, or latents, a side of a cell."""
        return self.patch // (self.factor or 1)

    @property
    def grid(self) -> int:
        """Cells a side, at the training size."""
        return self.size // self.patch

    @property
    def codes(self) -> int:
        """Number of codes of all levels."""
        return self.depth * self.codebook_size

    def codes_of(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns in which the codes of a grid of cells are written."""
        if self.queries:
            return max(1, self.queries // ROW), min(self.queries, ROW)
        return height, width * self.depth
