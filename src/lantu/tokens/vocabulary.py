"""One id space for text, special tokens and image codes. Only this file knows the offsets.

    [0, text_size)                        byte-level BPE of English and Chinese
    [text_size, text_size + controls)     special tokens such as <|boi|>, and the sides of a grid
    [.., .. + codebook_size)              image codes, one ordinary id each

The special tokens come before the codes, so that a larger codebook (new ids at the end) moves no id.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

GUIDANCE_SCALES = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)  # guidance scales that have a token
SPECIAL_TOKENS = (
    "<|pad|>",
    "<|bos|>",  # begins every document
    "<|eos|>",  # ends every document
    "<|boi|>",  # begins a picture: height, width, the codes row by row, then <|eoi|>
    "<|eoi|>",
    "<|en|>",  # the caption that follows is English
    "<|zh|>",  # the caption that follows is Chinese
    "<|user|>",  # the user speaks from here on; or the assistant, whose token keeps its name of version 0.1
    "<|lantu|>",
    "<|edit|>",  # begins a picture with holes, and what fills them
    # Before <|boi|>: draw as with this guidance scale, for models with distilled guidance.
    *(f"<|guidance_{scale:g}|>" for scale in GUIDANCE_SCALES),
    "<|hole|>",  # in place of a code that is to be filled in, or masked
    "<|plan|>",  # the assistant's plan, before it answers or draws (chain of thought)
)
SPELLED = {"assistant": "lantu"}  # short names that differ from the token, whose spelling released tokenizers keep
RESERVED = 64 - len(SPECIAL_TOKENS)
MAX_SIDE = 64  # the longest side of a grid, in codes
MAX_CODES = 1 << 16  # of a codebook: data folders store codes in 16 bits
MAX_DEPTH = 16  # codes of a cell
MAX_PATCH = 256  # pixels a side of a code
MAX_FACTOR = 8  # of an upscaler
CONTROLS = 64 + MAX_SIDE


Integers = TypeVar("Integers", bound=Any)  # a NumPy array or a tensor of integers


@dataclass(frozen=True)
class Vocabulary:
    """The layout of the id space.

    Args:
        text_size: ids of the byte-level BPE.
        codebook_size: image codes.
        depth: codes of a cell (residual quantisation), which follow one another. Each level has an equal share of the
            codes of its own, the first level the first ones, as in AudioLM's flattened streams (arXiv:2209.03143).
    """

    text_size: int
    codebook_size: int
    depth: int = 1

    def __post_init__(self):
        if self.depth < 1 or self.codebook_size % self.depth:
            raise ValueError(f"{self.codebook_size} codes can't be those of {self.depth} levels")
        if self.text_size < 256 or self.codebook_size < 2:
            raise ValueError(f"a vocabulary can't have {self.text_size} text ids and {self.codebook_size} codes")

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.text_size + CONTROLS + self.codebook_size

    @property
    def first_code(self) -> int:
        """The id of code 0."""
        return self.text_size + CONTROLS

    def special(self, name: str) -> int:
        """The id of a special token by its short name: ``special("boi")``."""
        return self.text_size + SPECIAL_TOKENS.index(f"<|{SPELLED.get(name, name)}|>")

    def side(self, length: int) -> int:
        """The id of a grid's side of ``length`` codes."""
        if not 1 <= length <= MAX_SIDE:
            raise ValueError(f"a grid's side is 1 to {MAX_SIDE} codes, not {length}")
        return self.text_size + 64 + length - 1

    def side_length(self, id_: int) -> int | None:
        """The length that the id of a side stands for; None for any other id."""
        length = id_ - self.text_size - 64 + 1
        return length if 1 <= length <= MAX_SIDE else None

    def code(self, code: int) -> int:
        """The id of an image code."""
        if not 0 <= code < self.codebook_size:
            raise ValueError(f"code {code} is outside the codebook of {self.codebook_size}")
        return self.first_code + code

    @property
    def code_range(self) -> range:
        """The ids of all image codes."""
        return range(self.first_code, self.size)

    @property
    def levels(self) -> tuple[range, ...]:
        """The ids of the codes of each level."""
        count = self.codebook_size // self.depth
        return tuple(range(first, first + count) for first in self.code_range[::count])

    def codes_to_ids(self, codes: Integers) -> Integers:
        """The ids of image codes: an integer array or tensor of any shape, not checked."""
        return codes + self.first_code

    def ids_to_codes(self, ids: Integers) -> Integers:
        """The inverse of ``codes_to_ids``."""
        return ids - self.first_code

    def is_code(self, ids: Integers) -> Integers:
        """Which ids are those of image codes."""
        return ids >= self.first_code

    def tokens(self) -> list[str]:
        """The token of every id after the text, in order: what a tokenizer adds to its BPE."""
        reserved = [f"<|reserved_{i}|>" for i in range(RESERVED)]
        sides = [f"<|side_{i}|>" for i in range(1, MAX_SIDE + 1)]
        codes = [f"<|code_{i}|>" for i in range(self.codebook_size)]
        return [*SPECIAL_TOKENS, *reserved, *sides, *codes]
