"""Terminal output: messages and progress on stderr, results and pictures on stdout."""

import codecs
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lantu.errors import OutputError

if TYPE_CHECKING:
    from PIL.Image import Image

Advance = Callable[[int, int], None]


class Output:
    """A stream whose write errors differ from those of files; everything else is delegated to the stream.

    Raises:
        OutputError: it can't be written, e.g. because the disk is full or the pipe is closed.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """See ``io.TextIOBase.write``."""
        with _printing():
            return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """See ``io.IOBase.writelines``."""
        with _printing():
            self._stream.writelines(lines)

    def flush(self) -> None:
        """See ``io.IOBase.flush``."""
        with _printing():
            self._stream.flush()


@contextlib.contextmanager
def _printing() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise OutputError(f"can't print to stdout ({problem.strerror or problem})") from problem


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Prepare the standard streams: all of them exist and accept any text.

    Characters that a stream's encoding lacks are written as ``\\u732b``; undecodable bytes of file names unchanged.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    codecs.register_error("lantu", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="lantu")
    before = sys.stdout
    sys.stdout = Output(before)
    try:
        yield
    finally:
        sys.stdout = before


def _escaped(problem: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler for characters that an encoding lacks, see ``codecs.register_error``."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    code = ord(problem.object[problem.start])
    if 0xDC80 <= code <= 0xDCFF:
        return bytes([code - 0xDC00]), problem.start + 1
    escape = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return escape, problem.start + 1


def give_up_stdout() -> None:
    """Discard all further output to stdout, including its buffer."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def can_print(text: str, stream: Any = None) -> bool:
    """Whether a stream's encoding (by default stdout's) has all characters of a text."""
    try:
        text.encode(getattr(stream or sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


def say(message: str) -> None:
    """Print one line on stderr; errors are ignored."""
    with contextlib.suppress(OSError, ValueError):
        print(" ".join(message.split()), file=sys.stderr, flush=True)


def show_warnings() -> None:
    """Print the library's warnings on stderr."""
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"lantu: {record.getMessage()}")

    logger = logging.getLogger("lantu")
    if not any(type(handler).__name__ == "Handler" for handler in logger.handlers):
        logger.addHandler(Handler(logging.WARNING))


def say_dimmed(message: str) -> None:
    """Print one line on stderr, dim if the terminal can."""
    dim = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    say(f"\x1b[2m{message}\x1b[0m" if dim else message)


def warn(messages: Sequence[str]) -> None:
    """Print warnings on stderr, one line each."""
    for message in messages:
        say(f"lantu: {message}")


def print_json(value: Any) -> None:
    """Print one JSON object on stdout."""
    print(printable_json(json.dumps(value, ensure_ascii=False, indent=1)))


def printable_json(text: str) -> str:
    """The same JSON, in ASCII if stdout's encoding needs it."""
    if can_print(text):
        return text
    return "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table with aligned columns on stdout."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def cells(text: str) -> int:
    """The width of a text on a terminal: a Chinese character takes two columns."""
    from rich.cells import cell_len

    return cell_len(text)


@contextlib.contextmanager
def progress(title: str, shown: bool = True) -> Iterator[Advance]:
    """A progress bar on stderr, if that is a terminal.

    Yields:
        ``advance(done, total)``; a total of 0 means that it is unknown.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Refreshed rarely, because the cores are busy.
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
        row = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(row, completed=done, total=total or None)


@contextlib.contextmanager
def steps(title: str, shown: bool = True, every_s: float = 10) -> Iterator[Callable[[int, int, object], None]]:
    """Progress of few, long steps on stderr: a bar if that is a terminal, else a line now and then.

    Yields:
        ``begin(done, total, step)``, to be called before each step.
    """
    with progress(title, shown) as advance:
        said = 0.0

        def begin(done: int, total: int, step: object) -> None:
            nonlocal said
            advance(done, total)
            if time.monotonic() - said > every_s or (said == 0 and done == 0):
                said = time.monotonic()
                name = ", ".join(map(str, step)) if isinstance(step, tuple) else str(step)
                say(f"{title} {name} ({total - done} of {total} remain)")

        yield begin


def shows_pictures() -> bool:
    """Whether stdout is a terminal with colours."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ


@contextlib.contextmanager
def live_picture() -> Iterator[Callable[["Image"], None]]:
    """An area on stdout that shows the newest picture, and is cleared at the end.

    Yields:
        ``show(image)``.
    """
    from rich.live import Live

    with Live(transient=True, auto_refresh=False) as place:
        yield lambda image: place.update(in_half_blocks(image, place.console.width), refresh=True)


def show_picture(image: "Image", columns: int = 48) -> None:
    """Print a picture, at most ``columns`` wide."""
    from rich.console import Console

    console = Console()
    console.print(in_half_blocks(image, console.width, columns))


def in_half_blocks(image: "Image", width: int, columns: int = 48) -> Any:
    """A picture for rich: each character shows two pixels, one by its foreground and one by its background.

    Args:
        width: of the terminal.
    """
    from PIL import Image as PIL
    from rich.segment import Segment, Segments
    from rich.style import Style

    columns = min(columns, width)
    block = next((one for one in "▀▄" if can_print(one)), "#")  # some encodings only have the lower half
    halves = (1, 0) if block == "▄" else (0, 1)
    rows = max(2, round(columns * image.height / image.width / 2) * 2)
    small = image.convert("RGB").resize((columns, rows), PIL.Resampling.LANCZOS)
    segments = []
    for top in range(0, rows, 2):
        for column in range(columns):
            ink, paper = ("#%02x%02x%02x" % small.getpixel((column, top + half)) for half in halves)  # noqa: UP031
            segments.append(Segment(block, Style(color=ink, bgcolor=paper)))
        segments.append(Segment.line())
    return Segments(segments)
