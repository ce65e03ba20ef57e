"""The data that the parts hand to one another. Frozen; no behaviour beyond checking itself.

Shapes: h w grid of codes, H W pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


MASK_CODE = -1  # stands for a code that is not known: dropped for guidance, or not drafted yet
SPEAKERS = ("user", "lantu", "plan")


@dataclass(frozen=True, eq=False)
class CodeGrid:
    """A picture as the language model sees it.

    Attributes:
        codes: (h, w) int64, each in ``[0, codebook_size)``; row 0 is the top.
    """

    codes: np.ndarray

    def __post_init__(self):
        codes = np.asarray(self.codes)
        if codes.ndim != 2 or codes.size == 0:
            raise ValueError(f"codes must be a grid of two dimensions, not {codes.shape}")
        object.__setattr__(self, "codes", codes.astype(np.int64))

    @property
    def height(self) -> int:
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        return self.codes.shape[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeGrid) and np.array_equal(self.codes, other.codes)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Patch:
    """A picture of which some cells are filled in, seen from both sides of them.

    Attributes:
        codes: (h, w) int64, the whole picture.
        holes: (h, w) bool, the cells that are filled in; one at least.
    """

    codes: np.ndarray
    holes: np.ndarray

    def __post_init__(self):
        codes, holes = CodeGrid(self.codes).codes, np.asarray(self.holes, bool)
        if holes.shape != codes.shape or not holes.any():
            raise ValueError(f"holes of shape {holes.shape} in a grid of shape {codes.shape}, {holes.sum()} of them")
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "holes", holes)

    @property
    def height(self) -> int:
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        return self.codes.shape[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Patch):
            return False
        return np.array_equal(self.codes, other.codes) and np.array_equal(self.holes, other.holes)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Turn:
    """Who speaks from here on.

    Attributes:
        speaker: "user" or "lantu"; "plan" when lantu speaks to itself, before it answers or draws.
    """

    speaker: str

    def __post_init__(self):
        if self.speaker not in SPEAKERS:
            raise ValueError(f"nobody called {self.speaker!r} speaks")


class Given(str):
    """Text that nobody can foretell, and that is not learnt; other text may stand right beside it."""


class Caption(str):
    """What a model says of a picture.

    Attributes:
        ended: the model ended it by itself: nothing was cut off.
    """

    ended: bool

    def __new__(cls, text: str, ended: bool = True) -> "Caption":
        made = super().__new__(cls, text)
        made.ended = ended
        return made


Part = str | CodeGrid | Patch | Turn


@dataclass(frozen=True)
class Document:
    """Text and pictures in reading order: what the language model is trained on, one document at a time.

    Attributes:
        parts: in order. ``("a cat", grid)`` asks for a drawing, ``(grid, "a cat")`` is a caption, ``("a cat", patch)``
            fills a cat in, ``(Turn("user"), grid, "where is the cat?", Turn("lantu"), "on the left")`` is a talk.
        language: "en", "zh" or "" (unknown): the language of a text that follows a picture.
    """

    parts: tuple[Part, ...]
    language: str = ""


@dataclass(frozen=True)
class Placed:
    """One object of a scene whose content is known exactly.

    Attributes:
        concept: the concept's key in its gallery (for emoji, the hexcode, e.g. "1F431").
        style: the drawing style's name, e.g. "noto".
        box: x0, y0, x1, y1 as fractions of the picture, in [0, 1].
    """

    concept: str
    style: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Sample:
    """One training picture with what is known of it.

    Attributes:
        key: unique within its data set.
        kind: "single", "scene", "count" for composed data; "picture" for a user's own.
        captions: language → captions, e.g. ``{"en": ["a cat …"], "zh": ["一只猫…"]}``; any may be missing.
        objects: what is where, when known.
        background: its name, when known.
    """

    key: str
    kind: str
    captions: Mapping[str, tuple[str, ...]]
    objects: tuple[Placed, ...] = ()
    background: str = ""


@dataclass(frozen=True)
class UnknownWord:
    """A word of a prompt that the model was never taught.

    Attributes:
        word: as it was written, in lower case.
        nearest: words that the model knows, the nearest first; may be empty.
    """

    word: str
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A drawn picture, and all that is needed to draw it again.

    Attributes:
        image: RGB.
        codes: (h, w) int64.
        prompt: as it was given.
        seed: of the draft and of the rendering.
        model: digest of the model directory.
        settings: guidance, steps, temperature, … as used.
        timings_ms: "plan", "render", "total".
        unknown_words: of the prompt, where the model lists the words that it was taught; not kept in files.
    """

    image: "Image"
    codes: np.ndarray
    prompt: str = ""
    seed: int = 0
    model: str = ""
    settings: Mapping[str, float | int | str | None] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    unknown_words: tuple[UnknownWord, ...] = ()


class Generator(Protocol):
    """Whatever draws, reads and rebuilds pictures; evaluation asks for nothing more."""

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """(B, H, W, 3) uint8, one picture a prompt."""
        ...

    def caption(self, images: np.ndarray, language: str) -> list[str]:
        """One caption for each of (B, H, W, 3) uint8."""
        ...

    def caption_drawn(self, prompts: list[str], seeds: list[int], language: str) -> list[str]:
        """A caption for each picture that ``draw`` gives, from all that the generator knows of its own drawings."""
        ...

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Picture → codes → picture, (B, H, W, 3) uint8."""
        ...
