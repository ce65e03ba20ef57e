"""The command ``make``."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.options import Device, Json

EVERY_S = 20.0  # between lines of progress where stderr is no terminal


def make(
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A folder of pictures, a table of them, or WebDataset tars.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model directory.", metavar="DIR")],
    minutes: Annotated[float, typer.Option(min=1, max=100_000, help="For everything.", metavar="M")] = 60.0,
    size: Annotated[int, typer.Option(min=32, max=512, help="Pixels a side, a multiple of 16.", metavar="N")] = 128,
    labels: Annotated[
        str, typer.Option(help="Class labels as captions: folders, or a column.", metavar="folders|COLUMN")
    ] = "",
    captions: Annotated[
        bool, typer.Option("--captions/--no-captions", help="Take captions from tables and files beside pictures.")
    ] = True,
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
    if size % 16:
        raise typer.BadParameter(f"{size} is not a multiple of 16", param_hint="--size")
    from lantu.recipes.make.making import Wanted
    from lantu.recipes.make.making import make as run

    wanted = Wanted(pictures, out, work or Path("runs") / out.name, minutes, size, labels, device, seed, captions)
    with progress(not json) as tell:
        model, page = run(wanted, terminal.say, tell)
    if json:
        terminal.print_json(
            {"model": str(out), "report": str(page), "work": str(wanted.work), **model.folder.describe()}
        )
        return
    print(f"{page}  the report")
    print(f'{out}  draw with: lantu draw --model {shlex.quote(str(out))} "a caption of your pictures"')
    print(f"{' ' * len(str(out))}  serve with: lantu serve --model {shlex.quote(str(out))}")


@contextlib.contextmanager
def progress(shown: bool) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """A bar for each training on a terminal, now and then a line elsewhere.

    Yields:
        ``tell(stage, newest line of its log)``.
    """
    from lantu.training.progress import describe

    if not shown:
        yield lambda stage, record: None
    elif not sys.stderr.isatty():
        said: dict[str, float] = {}

        def line(stage: str, record: dict[str, Any]) -> None:
            if time.monotonic() - said.get(stage, -EVERY_S) >= EVERY_S:
                said[stage] = time.monotonic()
                terminal.say(f"{stage}  step {record['step']:,}  {describe(record)}")

        yield line
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as bar:
            rows: dict[str, Any] = {}

            def show(stage: str, record: dict[str, Any]) -> None:
                if stage not in rows:
                    rows[stage] = bar.add_task(stage, total=1.0, text="")
                done = record["step"] / (record["steps"] or record["step"])
                bar.update(rows[stage], text=describe(record), completed=done)

            yield show
