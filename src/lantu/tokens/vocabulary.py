"""One id space: text, control ids, image codes. The only file that knows the offsets.

    [0, text_size)                        byte-level BPE of English and Chinese
    [text_size, text_size + controls)     marks such as <|boi|>, and the sizes of a grid
    [.., .. + codebook_size)              image codes, one ordinary id each

The control ids come before the codes, so that a grown codebook (new ids at the end) moves nothing.
"""

from dataclasses import dataclass

STRENGTHS = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)  # of guidance that have an id
MARKS = (
    "<|pad|>",
    "<|bos|>",  # begins every document
    "<|eos|>",  # ends every document
    "<|boi|>",  # begins a picture: height, width, the codes row by row, then <|eoi|>
    "<|eoi|>",
    "<|en|>",  # the caption that follows is English
    "<|zh|>",  # the caption that follows is Chinese
    "<|user|>",  # what follows is said by the user, or by lantu
    "<|lantu|>",
    "<|edit|>",  # begins a picture with holes, and what fills them
    # Before <|boi|>: the picture is drawn as if guided so strongly, for models that have learnt it.
    *(f"<|guidance_{strength:g}|>" for strength in STRENGTHS),
    "<|hole|>",  # in place of a code that is to be filled in
    "<|plan|>",  # what follows is noted down, not said: lantu's thoughts before it answers or draws
)
RESERVED = 64 - len(MARKS)
MAX_SIDE = 64  # the longest side of a grid that has a size id
MOST_CODES = 1 << 16  # of a codebook: codes beside data are kept in 16 bits
MOST_PATCH = 256  # pixels a side of a code
CONTROLS = 64 + MAX_SIDE


@dataclass(frozen=True)
class Vocabulary:
    """Where everything lies in the id space.

    Args:
        text_size: ids of the byte-level BPE.
        codebook_size: image codes.
    """

    text_size: int
    codebook_size: int

    def __post_init__(self):
        if self.text_size < 256 or self.codebook_size < 2:
            raise ValueError(f"no vocabulary of {self.text_size} text ids and {self.codebook_size} codes")

    @property
    def size(self) -> int:
        return self.text_size + CONTROLS + self.codebook_size

    @property
    def first_code(self) -> int:
        return self.text_size + CONTROLS

    def special(self, name: str) -> int:
        """The id of a mark by its short name: ``mark("boi")``."""
        return self.text_size + MARKS.index(f"<|{name}|>")

    def side(self, length: int) -> int:
        """The id that says a grid is ``length`` codes high, or wide."""
        if not 1 <= length <= MAX_SIDE:
            raise ValueError(f"a grid's side is 1 to {MAX_SIDE} codes, not {length}")
        return self.text_size + 64 + length - 1

    def side_length(self, id_: int) -> int | None:
        """The length that a size id stands for; None for any other id."""
        length = id_ - self.text_size - 64 + 1
        return length if 1 <= length <= MAX_SIDE else None

    def code(self, code: int) -> int:
        """The id of an image code."""
        if not 0 <= code < self.codebook_size:
            raise ValueError(f"code {code} is outside the codebook of {self.codebook_size}")
        return self.first_code + code

    def tokens(self) -> list[str]:
        """The spelling of every id after the text, in order: what a tokenizer adds to its BPE."""
        reserved = [f"<|reserved_{i}|>" for i in range(RESERVED)]
        sides = [f"<|side_{i}|>" for i in range(1, MAX_SIDE + 1)]
        codes = [f"<|code_{i}|>" for i in range(self.codebook_size)]
        return [*MARKS, *reserved, *sides, *codes]
