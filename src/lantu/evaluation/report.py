"""Evaluation reports: a table, JSON, and a sheet of pictures."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lantu.evaluation.results import Exhibit, SuiteResult, shown
from lantu.files import replacing

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

THUMB = 128  # pixels of a picture on the sheet
GAP = 8
LINE = 14
LINES = 4  # of text below each exhibit
COLUMNS = 4  # exhibits beside one another
# Fonts with Chinese, as Linux, macOS and Windows call them; Pillow looks into the system's folders.
FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
)


def as_json(suites: Mapping[str, SuiteResult]) -> dict[str, dict[str, Any]]:
    """The object that ``lantu eval --json`` prints."""
    return {name: suite.as_json() for name, suite in suites.items()}


def as_text(suites: Mapping[str, SuiteResult]) -> str:
    """A table with a line per suite, and the details of the scores below it."""
    lines = [f"{'suite':16}{'score':>8}{'round trip':>12}{'ceiling':>9}{'of r. t.':>10}{'n':>6}   95 % interval"]
    for name, suite in suites.items():
        unit = "share" if suite.error is None else "distance"
        low, high, score, trip, ceiling = (
            shown(value, unit) for value in (*suite.interval, suite.score, suite.round_trip, suite.ceiling)
        )
        row = f"{name:16}{score:>8}{trip:>12}{ceiling:>9}{suite.of_round_trip:>10.1%}"
        lines.append(f"{row}{suite.n:>6}   {low} to {high}")
    lines.append("")
    for name, suite in suites.items():
        parts = [f"{key} {value:.3g}" for key, value in suite.details["score"].items() if key != "score"]
        if parts:
            lines.append(f"{name:16}{', '.join(parts)}")
    return "\n".join(lines)


def write_sheet(suites: Mapping[str, SuiteResult], path: str | Path) -> None:
    """Write the exhibits as one PNG: true picture | round trip | drawn, and the prompt or the captions below.

    Raises:
        DiskError: it can't be written.
    """
    from PIL import Image, ImageDraw

    exhibits = [exhibit for suite in suites.values() for exhibit in suite.exhibits]
    cell_width, cell_height = 3 * THUMB + 2 * GAP, THUMB + LINES * LINE + 2 * GAP
    rows = max(1, -(-len(exhibits) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * (cell_width + GAP) + GAP, rows * cell_height + GAP), "#dddddd")
    draw, font = ImageDraw.Draw(sheet), find_font()
    for index, exhibit in enumerate(exhibits):
        row, column = divmod(index, COLUMNS)
        place(sheet, draw, font, exhibit, GAP + column * (cell_width + GAP), GAP + row * cell_height)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def place(
    sheet: Any, draw: "ImageDraw", font: "FreeTypeFont | ImageFont", exhibit: Exhibit, left: int, top: int
) -> None:
    """Put one exhibit on the sheet."""
    from PIL import Image

    pictures = [exhibit.trial.image, exhibit.round_trip, exhibit.drawn]
    for number, picture in enumerate(pictures):
        if picture is not None:
            thumb = Image.fromarray(np.ascontiguousarray(picture)).resize((THUMB, THUMB), Image.Resampling.LANCZOS)
            sheet.paste(thumb, (left + number * (THUMB + GAP), top))
    mark = "right" if exhibit.score >= 1 else "wrong"
    text = exhibit.trial.prompt + (f" → {exhibit.caption}" if exhibit.caption else "")
    wide = any(ord(character) >= 0x2E80 for character in text)
    lines = textwrap.wrap(f"{exhibit.trial.suite} · {mark} · {text}", width=30 if wide else 58)[:LINES]
    for number, line in enumerate(lines):
        draw.text((left, top + THUMB + 3 + number * LINE), line, fill="black", font=font)


def find_font() -> "FreeTypeFont | ImageFont":
    """A system font with Chinese; Pillow's own, which has none, if there is none."""
    from PIL import ImageFont

    for name in FONTS:
        try:
            return ImageFont.truetype(name, LINE - 2)
        except OSError:
            continue
    return ImageFont.load_default(LINE - 2)
