"""Mirrored and cropped copies of training pictures. Shapes: H W pixels."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from lantu.data.account import TAKEN, UNUSED, Note
from lantu.data.contents import Entry
from lantu.data.sides import tells_sides

LEAST = 0.75  # of each side that a crop keeps
AS_THEY_ARE = "not mirrored or cropped: a caption tells left from right, or of writing or numbers"
MIRRORED, CROPPED = "also taken mirrored", "also taken as {crops} random crops"


@dataclass(frozen=True)
class Variant:
    """What is made of a picture.

    Attributes:
        mirrored: left and right are exchanged.
        crop: the number of a random crop; 0 for the whole picture.
        seed: another seed, other crops.
    """

    mirrored: bool = False
    crop: int = 0
    seed: int = 0

    def key(self, key: str) -> str:
        """The name of a picture's variant."""
        return f"{key}{f' crop {self.crop}' if self.crop else ''}{' mirrored' if self.mirrored else ''}"

    def of(self, picture: Image.Image, key: str) -> Image.Image:
        """The variant of an upright picture, whose crop depends on its name, the number and the seed."""
        if self.crop:
            digest = hashlib.sha256(f"{self.seed}:{self.crop}:{key}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8]))
            share = LEAST + (1 - LEAST) * rng.random()  # of both sides, so that the shape stays
            width, height = (max(1, round(share * side)) for side in picture.size)
            left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
            picture = picture.crop((left, top, left + width, top + height))
        return ImageOps.mirror(picture) if self.mirrored else picture


def is_copy(key: str) -> bool:
    """Whether a name is that of a variant (``Variant.key``)."""
    return re.search(r"( crop \d+| mirrored)$", key) is not None


Chosen = tuple[Entry, Variant]


def variants(entries: Sequence[Entry], flips: bool, crops: int, seed: int, notes: list[Note]) -> Iterator[Chosen]:
    """Each picture as it is, then its crops, each mirrored too; adds to ``notes`` which pictures have none."""
    for entry in entries:
        yield entry, Variant()
        if not flips and not crops:
            continue
        if tells_sides(text for texts in entry.captions.values() for text in texts):
            notes.append(Note(entry.key, AS_THEY_ARE, UNUSED))
            continue
        for crop in range(crops + 1):
            for mirrored in (False, True) if flips else (False,):
                if crop or mirrored:
                    yield entry, Variant(mirrored, crop, seed)
        if flips:
            notes.append(Note(entry.key, MIRRORED, TAKEN))
        if crops:
            notes.append(Note(entry.key, CROPPED.format(crops=crops), TAKEN))
