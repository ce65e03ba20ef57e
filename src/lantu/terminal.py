"""What a person sees: messages and progress on stderr, results and pictures on stdout."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

Advance = Callable[[int, int], None]


def say(message: str) -> None:
    """One line on stderr."""
    print(" ".join(message.split()), file=sys.stderr, flush=True)


def whisper(message: str) -> None:
    """One line on stderr, dim where that can be."""
    dim = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    say(f"\x1b[2m{message}\x1b[0m" if dim else message)


def warn(messages: Sequence[str]) -> None:
    """What a result is not to be believed for, a line each on stderr."""
    for message in messages:
        say(f"lantu: {message}")


def print_json(value: Any) -> None:
    """One object on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=1))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need, on stdout."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def cells(text: str) -> int:
    """Columns that a text takes on a terminal: Chinese takes two a character."""
    from rich.cells import cell_len

    return cell_len(text)


@contextlib.contextmanager
def progress(title: str, shown: bool = True) -> Iterator[Advance]:
    """A bar on stderr, if that is a terminal.

    Yields:
        ``advance(done, total)``; a total of 0 means that nobody knows.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Drawn seldom: the cores are busy.
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
        row = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(row, completed=done, total=total or None)


def shows_pictures() -> bool:
    """Whether stdout is a terminal with colours."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ


@contextlib.contextmanager
def live_picture() -> Iterator[Callable[["Image"], None]]:
    """A place on stdout that shows the newest picture; it goes when the last is there.

    Yields:
        ``show(image)``.
    """
    from rich.live import Live

    with Live(transient=True, auto_refresh=False) as place:
        yield lambda image: place.update(in_half_blocks(image, place.console.width), refresh=True)


def show_picture(image: "Image", columns: int = 48) -> None:
    """Print a picture, at most so many columns wide."""
    from rich.console import Console

    console = Console()
    console.print(in_half_blocks(image, console.width, columns))


def in_half_blocks(image: "Image", width: int, columns: int = 48) -> Any:
    """A picture for rich: each character is two pixels, the upper one its ink, the lower its paper.

    Args:
        width: of the terminal.
    """
    from PIL import Image as PIL
    from rich.segment import Segment, Segments
    from rich.style import Style

    columns = min(columns, width)
    rows = max(2, round(columns * image.height / image.width / 2) * 2)
    small = image.convert("RGB").resize((columns, rows), PIL.Resampling.LANCZOS)
    segments = []
    for top in range(0, rows, 2):
        for column in range(columns):
            ink, paper = ("#%02x%02x%02x" % small.getpixel((column, top + half)) for half in (0, 1))  # noqa: UP031
            segments.append(Segment("▀", Style(color=ink, bgcolor=paper)))
        segments.append(Segment.line())
    return Segments(segments)
