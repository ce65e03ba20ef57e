"""Contact sheets of many drawings: a PNG of some of them, and a page of all."""

import html
import textwrap
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from lantu.evaluation.report import GAP, LINE, find_font
from lantu.files import replacing, write_text
from lantu.images import open_image

THUMB = 160  # pixels a side at most
LINES = 3  # of text
COLUMNS = 8
MOST = 64  # drawings on the PNG

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 13px system-ui, sans-serif; margin: 16px; display: grid; gap: 16px;
         grid-template-columns: repeat(auto-fill, minmax(192px, 1fr)); }}
  figure {{ margin: 0 }}
  img {{ width: 100% }}
</style>
{figures}
"""
FIGURE = '<figure><img loading="lazy" src="{path}" alt=""><figcaption>{text}</figcaption></figure>'


def write_sheet(folder: Path, drawings: Sequence[tuple[str, str]], path: Path) -> None:
    """Write a PNG of at most 64 drawings, evenly spread over all, each with its prompt below.

    Args:
        folder: in which the drawings are.
        drawings: path relative to the folder, and prompt.

    Raises:
        ImageError: a drawing can't be read.
        DiskError: it can't be written.
    """
    from PIL import Image, ImageDraw

    shown = [drawings[index * len(drawings) // MOST] for index in range(MOST)] if len(drawings) > MOST else drawings
    width, height = THUMB + GAP, THUMB + LINES * LINE + 2 * GAP
    columns = min(COLUMNS, len(shown))
    sheet = Image.new("RGB", (columns * width + GAP, -(-len(shown) // columns) * height + GAP), "#dddddd")
    draw, font = ImageDraw.Draw(sheet), find_font()
    for number, (name, text) in enumerate(shown):
        row, column = divmod(number, columns)
        left, top = GAP + column * width, GAP + row * height
        thumb = open_image(folder / name)
        thumb.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
        sheet.paste(thumb, (left, top))
        letters = THUMB // (LINE - 2) if any(ord(character) >= 0x2E80 for character in text) else THUMB // 6
        for line, words in enumerate(textwrap.wrap(text, letters)[:LINES]):
            draw.text((left, top + THUMB + 3 + line * LINE), words, fill="black", font=font)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def write_page(title: str, drawings: Sequence[tuple[str, str]], path: Path) -> None:
    """Write an HTML page of all drawings with their prompts; it loads them from its own folder and nothing else."""
    figures = (FIGURE.format(path=html.escape(quote(name)), text=html.escape(text)) for name, text in drawings)
    write_text(path, PAGE.format(title=html.escape(title), figures="\n".join(figures)))
