"""The command ``bench``."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from lantu.commands import terminal
from lantu.commands.options import Json, ModelName, check_results
from lantu.errors import LantuError


def bench(
    model: ModelName = None,
    size: Annotated[
        str, typer.Option(help="Size of the language model: tiny, small, medium, or model (the model's own).")
    ] = "small",
    pictures: Annotated[str, typer.Option(help="Batch sizes, with commas.", metavar="N,N")] = "1,8",
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds, after one to warm up.", metavar="N")] = 5,
    minutes: Annotated[
        float,
        typer.Option(min=0.1, help="Begin nothing that would end later; say which rows got no turn.", metavar="M"),
    ] = 4,
    peers: Annotated[
        str | None, typer.Option(help="Names, separated by commas (default: all that are installed).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for bench.json, bench.md and a chart.", metavar="DIR")
    ] = None,
    json: Json = False,
) -> None:
    """Time drafting and rendering, beside other engines on the same weights."""
    from lantu.training.machine import prepare

    prepare()
    try:
        counts = sorted({int(text) for text in pictures.split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1:
        raise LantuError(f"--pictures {pictures!r} are not numbers", "write e.g. --pictures 1,8")
    if out:
        check_results(out, ("bench.json", "bench.md", "bench.png"), {"machine", "drafting"})
    from lantu import bench as measurements
    from lantu.bench import report
    from lantu.files import write_json, write_text

    names = [name.strip() for name in peers.split(",")] if peers else None
    with terminal.steps("timing", shown=not json) as advance, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing and exporting libraries warn a lot
        figures = measurements.bench(
            model, size, counts, rounds, names, progress=advance, say=terminal.say, minutes=minutes
        )
    if out:
        write_json(out / "bench.json", figures)
        write_text(out / "bench.md", report.markdown(figures))
        report.chart(figures, out / "bench.png")
    if json:
        terminal.print_json(figures)
        return
    for title, rows in report.tables(figures):
        if title:
            print(title)
        print()
        terminal.print_table(rows)
