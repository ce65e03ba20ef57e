"""The options that several commands share."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from lantu.errors import LantuError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The same seed gives the same result.", metavar="N")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A name (see lantu models) or a folder.", metavar="MODEL")
]
Fit = Annotated[bool, typer.Option("--fit", help="Scale and crop pictures of another size.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Steps of the diffusion decoder.", metavar="N")]
Sampler = Annotated[str | None, typer.Option("--sampler", help="euler, heun, flow-euler or unipc.", metavar="NAME")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.", metavar="FILE")]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder that lantu data build wrote.", metavar="DIR")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "192x128" → (192, 128), width first.

    Raises:
        LantuError: it is no such text.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text.strip())
    if match is None:
        raise LantuError(f"the size {text!r} can't be read", "write width x height in pixels, e.g. 192x192")
    return int(match[1]), int(match[2])


def numbered(path: Path, count: int) -> list[Path]:
    """``out.png`` for one file; ``out-1.png``, ``out-2.png``, … for more."""
    return [path] if count == 1 else [path.with_stem(f"{path.stem}-{index}") for index in range(1, count + 1)]
