"""The options that several commands share."""

import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lantu.engine.sampling_params import FORMER, SamplingParams
from lantu.errors import DiskError, LantuError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The same seed gives the same result.", metavar="N")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]
Backend = Annotated[str, typer.Option("--backend", help="native, transformers or vllm.", metavar="NAME")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A name (see lantu models) or a folder.", metavar="MODEL")
]
Fit = Annotated[bool, typer.Option("--fit", help="Scale and crop pictures of another size.")]
Examples = Annotated[
    list[str] | None,
    typer.Option(
        "--example",
        help="A picture to go by and its caption: cat.png='a zorp'. Several are seen in this order.",
        metavar="FILE=CAPTION",
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", help="Steps of the diffusion decoder.", metavar="N")]
Sampler = Annotated[
    str | None, typer.Option("--sampler", help="euler, heun, consistency, flow-euler or unipc.", metavar="NAME")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.", metavar="FILE")]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder that lantu data build wrote.", metavar="DIR")]
Dials = Annotated[
    list[str] | None, typer.Option("--set", help="A dial of drawing, e.g. guidance=4.", metavar="KEY=VALUE")
]


def as_text(text: str | None) -> str | None:
    """An argument that the locale's encoding could not read, read as UTF-8, which terminals send nearly always."""
    if text is None or text.isprintable():
        return text
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def renamed_to(now: str) -> Callable[[typer.CallbackParam, Any], Any]:
    """A callback for an option's name of lantu 0.1: it still works, and stderr gives today's name."""

    def warn(option: typer.CallbackParam, value: Any) -> Any:
        if value is not None:
            print(f"{option.opts[0]} is called {now} now", file=sys.stderr)
        return value

    return warn


def as_name(text: str) -> str:
    """A text as a file's name of UTF-8, whatever encoding the system has for names."""
    try:
        os.fsencode(text)
    except UnicodeError:
        return os.fsdecode(text.encode())
    return text


def unused(path: Path) -> Path:
    """The path itself, or with the first number from 2 on with which no file has it."""
    numbers = itertools.count(2)
    free = path
    while os.path.lexists(free):
        free = path.with_stem(f"{path.stem}-{next(numbers)}")
    return free


def check_results(out: Path, names: Sequence[str], keys: set[str]) -> None:
    """Refuse to write results over files of these names that are no results.

    Args:
        out: their folder.
        names: of the files; the first is JSON.
        keys: what it must hold, or else each of its entries, to be results.

    Raises:
        DiskError: there are such files, or ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise DiskError(f"{out} is a file", "name a folder for the results")
    there = [name for name in names if (out / name).exists()]
    try:
        told = json.loads((out / names[0]).read_text(encoding="utf-8")) if there else {}
        ours = keys <= told.keys() or all(keys <= entry.keys() for entry in told.values())
    except (OSError, ValueError, AttributeError, RecursionError):
        ours = False
    if there and not ours:
        raise DiskError(
            f"{out} holds other things, which results would overwrite ({', '.join(there)})", "choose another folder"
        )


def parse_dials(texts: list[str] | None) -> dict[str, Any]:
    """``["guidance=4"]`` → ``{"guidance": 4.0}``.

    Raises:
        LantuError: there is no such dial, or it can't have that value.
    """
    known = SamplingParams().as_dict()
    dials = {}
    for text in texts or []:
        name, _, value = text.partition("=")
        if name in FORMER:
            print(f"the dial {name} is called {FORMER[name]} now", file=sys.stderr)
            name = FORMER[name]
        if name not in known:
            raise LantuError(f"no dial called {name}", f"choose one of {', '.join(known)}")
        try:
            dials[name] = type(known[name])(value)
        except ValueError as problem:
            raise LantuError(f"{name} can't be {value!r}", "write it as key=value, e.g. guidance=4") from problem
    SamplingParams().change(**dials)
    return dials


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "192x128" → (192, 128), width first.

    Raises:
        LantuError: it is no such text.
    """
    if text is None:
        return None
    from lantu.models import validation  # NumPy

    return validation.parse_size(text)


def numbered(path: Path, count: int) -> list[Path]:
    """``out.png`` for one file; ``out-1.png``, ``out-2.png``, … for more."""
    return [path] if count == 1 else [path.with_stem(f"{path.stem}-{index}") for index in range(1, count + 1)]
