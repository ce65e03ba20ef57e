"""Drawings cut out with alpha, each of a known concept in a known style: the material of scenes.

A gallery on disk is a folder with ``gallery.json`` (the concepts, and the row of each drawing) and ``sprites.npy`` (N,
S, S, 4) uint8, straight (not premultiplied) RGBA, read as a memory map.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lantu.errors import DataError
from lantu.files import replacing, write_json, writing

SPRITE_SIZE = 256
CATALOGUE = "gallery.json"
SPRITES = "sprites.npy"


@dataclass(frozen=True)
class Concept:
    """A thing that can be drawn and named.

    Attributes:
        key: for emoji, the hexcode, e.g. "1F431".
        names: language → its everyday name, e.g. ``{"en": "cat", "zh": "猫"}``; both are always there.
        keywords: language → other words that name the same thing; may be empty.
        group: e.g. "animals-nature".
        subgroup: e.g. "animal-mammal".
    """

    key: str
    names: Mapping[str, str]
    keywords: Mapping[str, tuple[str, ...]]
    group: str
    subgroup: str


class Gallery:
    """Concepts, styles, and a drawing for most pairs of them.

    Args:
        concepts: key → concept, in a fixed order.
        styles: names of the drawing styles.
        rows: (concept key, style) → row of ``sprites``.
        sprites: (N, S, S, 4) uint8 RGBA.
        digest: of everything that it was built from; "" when unknown.
    """

    def __init__(
        self,
        concepts: Mapping[str, Concept],
        styles: tuple[str, ...],
        rows: Mapping[tuple[str, str], int],
        sprites: np.ndarray,
        digest: str = "",
    ):
        self.concepts = dict(concepts)
        self.styles = styles
        self.digest = digest
        self._rows = dict(rows)
        self._sprites = sprites

    def __len__(self) -> int:
        """How many drawings there are."""
        return len(self._rows)

    def has(self, concept: str, style: str) -> bool:
        """Whether this concept is drawn in this style."""
        return (concept, style) in self._rows

    def styles_of(self, concept: str) -> tuple[str, ...]:
        """The styles that draw this concept, in the gallery's order."""
        return tuple(style for style in self.styles if self.has(concept, style))

    def sprite(self, concept: str, style: str) -> np.ndarray:
        """(S, S, 4) uint8 straight RGBA, read-only when it comes from disk.

        Raises:
            KeyError: this style has no drawing of this concept.
        """
        return np.asarray(self._sprites[self._rows[concept, style]])


def load_gallery(folder: str | Path) -> Gallery:
    """Open a gallery; drawings are read from disk when they are needed.

    Raises:
        DataError: there is no complete gallery in ``folder``.
    """
    folder = Path(folder)
    try:
        catalogue = json.loads((folder / CATALOGUE).read_text(encoding="utf-8"))
        sprites = np.load(folder / SPRITES, mmap_mode="r")
        concepts, rows = {}, {}
        for entry in catalogue["concepts"]:
            drawn = entry.pop("rows")
            entry["keywords"] = {language: tuple(words) for language, words in entry["keywords"].items()}
            concepts[entry["key"]] = Concept(**entry)
            rows.update({(entry["key"], style): row for style, row in drawn.items()})
        styles, digest = tuple(catalogue["styles"]), catalogue["digest"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise DataError(f"no gallery in {folder} ({problem})", "build it again") from problem
    if sprites.ndim != 4 or len(rows) != len(sprites):
        raise DataError(
            f"the gallery in {folder} is damaged: {len(rows)} rows, {len(sprites)} drawings", "build it again"
        )
    return Gallery(concepts, styles, rows, sprites, digest)


def save_gallery(
    folder: str | Path,
    concepts: Mapping[str, Concept],
    styles: tuple[str, ...],
    cells: Sequence[tuple[str, str]],
    sprites: Iterable[np.ndarray],
    digest: str = "",
) -> None:
    """Write a gallery; ``gallery.json`` comes last, so a folder that has it is complete.

    Args:
        cells: (concept key, style) of each drawing.
        sprites: the drawings in the same order, each (S, S, 4) uint8 with S = ``SPRITE_SIZE``.
        digest: of everything that the gallery is built from.

    Raises:
        DiskError: it can't be written.
    """
    folder = Path(folder)
    shape = (len(cells), SPRITE_SIZE, SPRITE_SIZE, 4)
    # An old catalogue beside new drawings would look complete.
    with writing(folder):
        (folder / CATALOGUE).unlink(missing_ok=True)
    with replacing(folder / SPRITES) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for row, sprite in enumerate(sprites):
            stored[row] = sprite
        stored.flush()
    rows: dict[str, dict[str, int]] = {key: {} for key in concepts}
    for row, (key, style) in enumerate(cells):
        rows[key][style] = row
    entries = [{**asdict(concept), "rows": rows[key]} for key, concept in concepts.items()]
    write_json(folder / CATALOGUE, {"digest": digest, "styles": list(styles), "concepts": entries})
