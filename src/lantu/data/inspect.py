"""The contents of a data folder: counts, lengths, and a sheet of pictures."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lantu.data.account import NAMED, account_of
from lantu.data.shards import Shards, read_index
from lantu.files import replacing

GAP = 8
LINES = 3
TEXT_SIZE = 11

EncodeText = Callable[[str], Sequence[int]]
Progress = Callable[[int, int], None]


def inspect(
    folder: str | Path, encode_text: EncodeText | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Count everything.

    Args:
        folder: of the data.
        encode_text: text → ids; if given, lengths in ids are counted, too.
        progress: called with (descriptions read, in all).

    Returns:
        the entries of ``index.json``, the account of what was taken, changed and left out, and for each split:
        "pictures", "kinds", "objects" (how many pictures have so many), "styles", "backgrounds", "concepts" (the
        number of different ones), "uncaptioned", and for each language "captions" with "pictures", "captions",
        "characters" and "ids", the last two as "least", "median", "most".

    Raises:
        DataError: no data, or a description can't be read.
    """
    index = read_index(folder)
    splits = {split: Shards(folder, split) for split in index["splits"]}
    total, done = sum(map(len, splits.values())), 0
    found = {}
    for split, shards in splits.items():
        tally = Tally(encode_text)
        for number in range(len(shards)):
            tally.add(shards, number)
            done += 1
            if progress and (done % 1000 == 0 or done == total):
                progress(done, total)
        found[split] = tally.report()
    kept = ("source", "size", "settings", "lantu", "gallery", "skipped")
    header = {name: index.get(name) for name in kept}
    return {"folder": str(folder), **header, "account": account_of(index, NAMED), "splits": found}


class Tally:
    """Counts of one split."""

    def __init__(self, encode_text: EncodeText | None = None):
        self.encode_text = encode_text
        self.pictures = 0
        self.counts = {name: Counter() for name in ("kinds", "objects", "styles", "backgrounds", "concepts")}
        self.captioned: Counter[str] = Counter()
        self.uncaptioned = 0
        self.characters: dict[str, list[int]] = {}
        self.ids: dict[str, list[int]] = {}

    def add(self, shards: Shards, number: int) -> None:
        """Count a sample."""
        sample = shards.sample(number)
        self.pictures += 1
        self.counts["kinds"][sample.kind] += 1
        if sample.background:
            self.counts["backgrounds"][sample.background] += 1
        if sample.objects:
            self.counts["objects"][str(len(sample.objects))] += 1
        self.counts["styles"].update(placed.style for placed in sample.objects)
        self.counts["concepts"].update(placed.concept for placed in sample.objects)
        self.uncaptioned += not any(sample.captions.values())
        for language, texts in sample.captions.items():
            self.captioned[language] += bool(texts)
            self.characters.setdefault(language, []).extend(map(len, texts))
            if self.encode_text:
                self.ids.setdefault(language, []).extend(len(self.encode_text(text)) for text in texts)

    def report(self) -> dict[str, Any]:
        """The counts as JSON."""
        captions = {}
        for language, lengths in self.characters.items():
            captions[language] = {
                "pictures": self.captioned[language],
                "captions": len(lengths),
                "characters": _lengths(lengths),
            }
            if self.encode_text:
                captions[language]["ids"] = _lengths(self.ids[language])
        counts = {name: dict(counter.most_common()) for name, counter in self.counts.items() if name != "concepts"}
        return {
            "pictures": self.pictures,
            **counts,
            "concepts": len(self.counts["concepts"]),
            "uncaptioned": self.uncaptioned,
            "captions": captions,
        }


def contact_sheet(folder: str | Path, out: str | Path, split: str = "train", rows: int = 6, columns: int = 8) -> None:
    """Write a PNG of pictures at equal distances in a split, each above its first English caption.

    Pillow's own font has no Chinese, so other captions are left out.

    Raises:
        DataError: no data, or a picture can't be read.
        DiskError: it can't be written.
    """
    shards = Shards(folder, split)
    numbers = np.unique(np.linspace(0, len(shards) - 1, min(rows * columns, len(shards))).astype(int))
    pictures = [Image.fromarray(shards.image(number)) for number in numbers.tolist()]
    side = max([96, *(picture.width for picture in pictures)])
    high = max([0, *(picture.height for picture in pictures)])
    cell_width, cell_height = side + GAP, high + LINES * (TEXT_SIZE + 3) + GAP
    rows = -(-len(numbers) // columns)
    sheet = Image.new("RGB", (columns * cell_width + GAP, max(rows, 1) * cell_height + GAP), "#e8e8e8")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(TEXT_SIZE)
    for place, (number, picture) in enumerate(zip(numbers.tolist(), pictures, strict=True)):
        left, top = GAP + place % columns * cell_width, GAP + place // columns * cell_height
        sheet.paste(picture, (left, top))
        caption = next(iter(shards.sample(number).captions.get("en", ())), "")
        letters = int(0.9 * side * len(caption) / max(font.getlength(caption), side))
        lines = textwrap.wrap(caption, max(letters, 1), max_lines=LINES, placeholder=" …")
        draw.text((left, top + picture.height + 1), "\n".join(lines), fill="black", font=font, spacing=2)
    with replacing(out) as temporary:
        sheet.save(temporary, format="PNG")


def _lengths(lengths: Iterable[int]) -> dict[str, float]:
    values = np.array(list(lengths) or [0])
    return {"least": int(values.min()), "median": float(np.median(values)), "most": int(values.max())}
