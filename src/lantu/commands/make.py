"""The command ``make``."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.data import Aspect, Background, Captions, Crops, Flips, Labels
from lantu.commands.options import Device, Json

EVERY_S = 20.0  # between lines of progress where stderr is no terminal


def make(
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A folder of pictures, a table of them, or WebDataset tars.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model directory.", metavar="DIR")],
    minutes: Annotated[float, typer.Option(min=1, max=100_000, help="For everything.", metavar="M")] = 60.0,
    size: Annotated[
        int | None,
        typer.Option(
            min=32,
            max=512,
            help="Pixels a side, a multiple of 16 (default: as --start or --decoder; 128).",
            metavar="N",
        ),
    ] = None,
    labels: Labels = "",
    captions: Captions = True,
    aspect: Aspect = "auto",
    background: Background = "white",
    flips: Flips = False,
    crops: Crops = 0,
    start: Annotated[
        str, typer.Option(help="A model of lantu's own that goes on learning, and rehearses.", metavar="MODEL")
    ] = "",
    language: Annotated[
        str, typer.Option(help="A pretrained language model that learns to draw them.", metavar="DIR|ID")
    ] = "",
    decoder: Annotated[
        str, typer.Option(help="A pretrained diffusion model that learns to render them.", metavar="DIR|ID")
    ] = "",
    work: Annotated[
        Path | None, typer.Option(help="Of data, runs and report (default: runs/NAME).", metavar="DIR")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another model.", metavar="N")] = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Make a model of a folder of pictures: train its parts, assemble, score, and write a report.

    Stopped at any moment, the same command goes on.
    """
    if size and size % 16:
        raise typer.BadParameter(f"{size} is not a multiple of 16", param_hint="--size")
    from lantu.recipes.make.making import Wanted
    from lantu.recipes.make.making import make as run

    wanted = Wanted(pictures, out, work or Path("runs") / out.name, minutes, size, labels, device, seed, captions)
    wanted = replace(wanted, start=start, language=language, decoder=decoder)
    wanted = replace(wanted, importing=importing(aspect, background, flips, crops))
    try:
        with progress(minutes, not json) as tell:
            made = run(wanted, terminal.say, tell)
    except KeyboardInterrupt:
        terminal.say("stopped: the same command goes on")
        raise
    if json:
        facts = {"model": str(out), "report": str(made.page), "work": str(wanted.work)}
        terminal.print_json(facts | made.model.folder.describe())
        return
    print(f"{made.page}  the report")
    print(f"{out}  draw with: lantu draw --model {shlex.quote(str(out))} {shlex.quote(made.prompt)}")
    print(f"{' ' * len(str(out))}  serve with: lantu serve --model {shlex.quote(str(out))}")


def importing(aspect: str, background: str, flips: bool, crops: int) -> list[str]:
    """The options of ``lantu data build folder`` that aren't its defaults."""
    words = ["--aspect", aspect] if aspect != "auto" else []
    words += ["--background", background] if background != "white" else []
    words += ["--flips"] if flips else []
    return words + (["--crops", str(crops)] if crops else [])


@contextlib.contextmanager
def progress(minutes: float, shown: bool) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """A bar for all and one for each training on a terminal, now and then a line elsewhere.

    Yields:
        ``tell(stage, newest line of its log)``, see ``recipes.make.making.make``.
    """
    if not shown:
        yield lambda stage, record: None
    elif sys.stderr.isatty():
        with Bars(60 * minutes) as bars:
            yield bars.tell
    else:
        from lantu.training.progress import describe

        said: dict[str, float] = {}

        def line(stage: str, record: dict[str, Any]) -> None:
            for warning in record["warnings"]:
                if warning not in said:
                    said[warning] = 0.0
                    terminal.say(f"{stage}  warning: {warning}")
            if time.monotonic() - said.get(stage, -EVERY_S) >= EVERY_S:
                said[stage] = time.monotonic()
                terminal.say(f"{stage}  step {record['step']:,}  {describe(record)}  {whole(record)}")

        yield line


def whole(record: Mapping[str, Any]) -> str:
    """What is left of everything, and the newest sheet of samples."""
    from lantu.training.progress import duration

    sheet = f"  samples: {record['sheet']}" if record.get("sheet") else ""
    return f"all: left {duration(record['whole_left_s'])}{sheet}"


class Bars:
    """A bar for everything, and one for each training.

    Args:
        total_s: for everything.
    """

    def __init__(self, total_s: float):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
        )
        self.bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=2)
        self.total_s, self.rows, self.said = total_s, dict[str, Any](), set[str]()

    def __enter__(self) -> "Bars":
        self.bar.start()
        self.row("all", 0.0, "")
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.stop()

    def row(self, name: str, done: float, text: str) -> None:
        """Show how far something is, from 0 to 1."""
        if name not in self.rows:
            self.rows[name] = self.bar.add_task(name, total=1.0, text="")
        self.bar.update(self.rows[name], text=text, completed=done)

    def tell(self, stage: str, record: Mapping[str, Any]) -> None:
        """Take the newest line of a stage's log."""
        from lantu.training.progress import describe

        self.row("all", max(0.0, 1 - record["whole_left_s"] / self.total_s), whole(record))
        for warning in record["warnings"]:
            if warning not in self.said:
                self.said.add(warning)
                self.bar.console.print(f"{stage}  warning: {warning}", markup=False, highlight=False)
        self.row(stage, record["step"] / (record["steps"] or record["step"]), describe(record))
