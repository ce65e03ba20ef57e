"""What a data folder holds, and what a model can't learn from it.

Shapes: H W pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lantu.data.account import account_of, lines
from lantu.data.inspect import inspect
from lantu.data.remarks import SPOKEN
from lantu.data.shards import Shards, read_index
from lantu.data.variants import is_copy
from lantu.tokens.document import LANGUAGES

LOOKED_AT = 64  # pictures, to tell photographs from drawings
NEAR = 2  # levels of 255 by which neighbours on a plain surface may differ
PLAIN = 0.45  # share of such neighbours from which pictures are drawings
FEW, FEW_CAPTIONED = 500, 0.5  # pictures; share of pictures with a caption


@dataclass(frozen=True)
class Look:
    """What there is.

    Attributes:
        train, val: pictures of the two splits, copies included.
        size: pixels a side.
        captioned: training pictures with a caption.
        languages: language → pictures with captions in it.
        plain: share of neighbouring pixels that are alike: high for drawings.
        account: what was taken, changed, not used or left out as the pictures were imported, a line each.
        copies: mirrored and cropped copies among the training pictures.
    """

    train: int
    val: int
    size: int
    captioned: int
    languages: dict[str, int]
    plain: float
    account: tuple[str, ...] = ()
    copies: int = 0

    @property
    def different(self) -> int:
        """Training pictures that are no copies of others."""
        return self.train - self.copies

    @property
    def photographs(self) -> bool:
        """Whether the pictures look like photographs, not like drawings."""
        return self.plain < PLAIN

    def lines(self) -> Iterator[str]:
        """What it is, for a person, and what a model won't learn from it."""
        kind = "photographs" if self.photographs else "drawings"
        spoken = ", ".join(f"{count:,} with captions in {name}" for name, count in self.languages.items())
        train = pictures(self.different)
        copies = f" and {self.copies:,} mirrored or cropped copies" if self.copies else ""
        yield f"{train}{copies} to learn from, {self.val:,} kept for validation; they look like {kind}"
        yield spoken or "no captions"
        if self.different < FEW:
            yield f"{train}: so few are learnt by heart, more than what they have in common"
        if not self.captioned:
            yield "without captions it draws pictures like these, whatever the prompt says"
        elif self.captioned < FEW_CAPTIONED * self.train:
            yield f"only {self.captioned:,} pictures have captions: the others teach it to draw, but no words"
        if unknown := sorted(set(self.languages) - set(LANGUAGES)):
            yield f"captions in {', '.join(unknown)} teach drawing alone: {' and '.join(LANGUAGES)} are scored"
        if not self.val:
            yield "no picture is kept for validation: scores will be those of pictures that it learnt"


def pictures(count: int) -> str:
    """ "1 picture", "1,200 pictures"."""
    return f"{count:,} picture{'s' if count != 1 else ''}"


def look(data: Path) -> Look:
    """Look at a data folder. Raises DataError where it can't be read."""
    facts: dict[str, Any] = inspect(data)
    splits, shards = facts["splits"], Shards(data, "train")
    captions, train = splits["train"]["captions"], splits["train"]["pictures"]
    return Look(
        train=train,
        val=splits.get("val", {}).get("pictures", 0),
        size=facts["size"],
        captioned=train - splits["train"]["uncaptioned"],
        languages={language: entry["pictures"] for language, entry in captions.items() if entry["pictures"]},
        plain=plainness(shards),
        copies=copies(shards) if facts["settings"].get("flips") or facts["settings"].get("crops") else 0,
        account=tuple(lines(one for one in account_of(read_index(data)) if not one["reason"].startswith(SPOKEN))),
    )


def copies(shards: Shards) -> int:
    """How many pictures are copies of others."""
    return sum(is_copy(shards.sample(index).key) for index in range(len(shards)))


def plainness(shards: Shards) -> float:
    """The share of pixels that are like their right neighbours, in some pictures at equal distances."""
    chosen = np.unique(np.linspace(0, len(shards) - 1, min(LOOKED_AT, len(shards))).astype(int))
    shares = []
    for index in chosen.tolist():
        picture_HW3 = shards.image(index).astype(np.int16)
        shares.append(float((np.abs(np.diff(picture_HW3, axis=1)).max(-1) <= NEAR).mean()))
    return float(np.mean(shares))
