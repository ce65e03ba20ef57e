"""Immutable data types shared by all packages. They check themselves and have no other behaviour.

Shapes: h w grid of codes, H W pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


MASK_CODE = -1  # in place of an unknown code: dropped for guidance, or not drafted yet
MAX_GRID = 256  # the longest side of a grid, in codes, of any model family
ROLES = ("user", "assistant", "plan")


@dataclass(frozen=True, eq=False)
class CodeGrid:
    """A picture as a grid of image codes.

    Attributes:
        codes: (h, w) int64, each in ``[0, codebook_size)``; row 0 is the top.
    """

    codes: np.ndarray

    def __post_init__(self):
        codes = np.asarray(self.codes)
        if codes.ndim != 2 or codes.size == 0:
            raise ValueError(f"codes must have two dimensions, not the shape {codes.shape}")
        object.__setattr__(self, "codes", codes.astype(np.int64))

    @property
    def height(self) -> int:
        """In codes."""
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        """In codes."""
        return self.codes.shape[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeGrid) and np.array_equal(self.codes, other.codes)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class MaskedGrid:
    """A picture of which some cells are masked and then filled in.

    Attributes:
        codes: (h, w) int64, the complete picture.
        holes: (h, w) bool, the masked cells; at least one.
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
        """In codes."""
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        """In codes."""
        return self.codes.shape[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskedGrid):
            return False
        return np.array_equal(self.codes, other.codes) and np.array_equal(self.holes, other.holes)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Role:
    """The role of what follows in a conversation.

    Attributes:
        name: "user", "assistant", or "plan" (the assistant's plan, before it answers or draws).
    """

    name: str

    def __post_init__(self):
        if self.name not in ROLES:
            raise ValueError(f"unknown role {self.name!r}, choose {', '.join(ROLES)}")


@dataclass(frozen=True)
class Gap:
    """Where a text lacks some words, which follow at the end of the document (causal masking, arXiv:2201.07520)."""


class ContextText(str):
    """Text excluded from the loss. Unlike other texts, it may stand next to another text."""


class Caption(str):
    """A caption that a model wrote.

    Attributes:
        ended: the model ended it itself; otherwise it is truncated.
    """

    ended: bool

    def __new__(cls, text: str, ended: bool = True) -> "Caption":
        made = super().__new__(cls, text)
        made.ended = ended
        return made


Part = str | CodeGrid | MaskedGrid | Role | Gap


@dataclass(frozen=True)
class Document:
    """Text and pictures in reading order: the unit on which the language model is trained.

    Attributes:
        parts: in order. ``("a cat", grid)`` is a drawing, ``(grid, "a cat")`` a caption, ``("a cat", patch)`` fills in
            a cat, ``(Role("user"), grid, "where is the cat?", Role("assistant"), "on the left")`` is a conversation.
        language: "en", "zh" or "" (unknown): the language of a text that follows a picture.
    """

    parts: tuple[Part, ...]
    language: str = ""


@dataclass(frozen=True)
class Placed:
    """One object of a composed scene.

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
    """The metadata of one training picture.

    Attributes:
        key: unique in its data set.
        kind: "single", "scene" or "count" for composed data; "picture" for a user's own.
        captions: language → captions, e.g. ``{"en": ["a cat …"], "zh": ["一只猫…"]}``; any may be missing.
        objects: what is where, if known.
        background: its name, if known.
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
        word: in lower case.
        nearest: known words, the nearest first; may be empty.
    """

    word: str
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A drawn picture, and everything that is needed to draw it again.

    Attributes:
        image: RGB.
        codes: (h, w) int64, with MASK_CODE at the end where it was drawn from the first codes of a sequence alone;
            (h, w, E) of a model that drafts vectors, see ``lantu.models.spec.ModelFolder.cell_shape``.
        prompt: as given.
        seed: of draft and rendering.
        model: digest of the model directory.
        settings: the sampling parameters used: guidance, steps, temperature, …
        timings_ms: "plan", "render", "total".
        unknown_words: of the prompt, if the model lists its words; not stored in files.
    """

    image: "Image"
    codes: np.ndarray
    prompt: str = ""
    seed: int = 0
    model: str = ""
    settings: Mapping[str, float | int | str | None] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    unknown_words: tuple[UnknownWord, ...] = ()

    @property
    def cells(self) -> int:
        """Cells of the grid, each of which was drafted as one id; of a sequence, those that were drafted."""
        cells_hw = self.codes if self.codes.ndim == 2 else self.codes[..., 0]
        return int((cells_hw != MASK_CODE).sum())


@dataclass(frozen=True, eq=False)
class Step:
    """The state of a drawing while it is drafted.

    Attributes:
        preview: rendered from the codes so far; in the last step, the finished picture.
        codes: (h, w) int64, MASK_CODE where a code is missing.
        fraction: of the codes that are drafted, 1 in the last step.
        picture: the finished picture; None before the last step.
    """

    preview: "Image"
    codes: np.ndarray
    fraction: float
    picture: Picture | None = None


class Generator(Protocol):
    """What evaluation needs of a model: it draws, captions and reconstructs pictures."""

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """(B, H, W, 3) uint8, one picture for each prompt."""
        ...

    def caption(self, images: np.ndarray, language: str) -> list[str]:
        """One caption for each of (B, H, W, 3) uint8."""
        ...

    def caption_drawn(self, prompts: list[str], seeds: list[int], language: str) -> list[str]:
        """A caption for each picture that ``draw`` gives, from its codes where the generator has them."""
        ...

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Picture → codes → picture, (B, H, W, 3) uint8."""
        ...
