"""A question to a generator, and the true picture that answers it."""

from dataclasses import dataclass

import numpy as np

from lantu.types import Placed

SUITES = ("reconstruction", "single", "pairs", "counts", "style", "language", "caption", "own_caption")
OWN = (
    "codes",
    "reconstruction",
    "drawing",
    "caption",
    "variety",
)  # of a user's own pictures, see ``lantu.recipes.own``


@dataclass(frozen=True, eq=False)
class Trial:
    """A prompt whose right answer is known exactly.

    Attributes:
        suite: one of ``SUITES`` or ``OWN``: what is asked, and so how the answer is judged.
        prompt: for the generator; in "caption" and "reconstruction" only a description.
        language: of the prompt, or of the requested caption: "en" or "zh".
        expected: what the picture must show. In "pairs" the boxes say which half belongs to which thing.
        image: (H, W, 3) uint8, a true picture of just that: the ceiling, and what is captioned or reconstructed.
        key: unique within its suite; trials that ask the same in other words share the part before the first ":".
        words: for each of ``expected``, the words (in ``language``) by which a caption may name it.
        phrasing: how the prompt was made, e.g. "template" or "free": scores are also given for each of them.
    """

    suite: str
    prompt: str
    language: str
    expected: tuple[Placed, ...]
    image: np.ndarray
    key: str
    words: tuple[tuple[str, ...], ...] = ()
    phrasing: str = "template"

    def __post_init__(self):
        if self.suite not in {*SUITES, *OWN}:
            raise ValueError(f"no suite {self.suite!r}; there are {', '.join(dict.fromkeys((*SUITES, *OWN)))}")
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"a picture is (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")
