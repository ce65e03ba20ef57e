"""Options that several commands share."""

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lantu.engine.sampling_params import FORMER, SamplingParams
from lantu.errors import DiskError, LantuError

Ray = Annotated[bool, typer.Option("--ray", help="Work on a Ray cluster: see docs/bulk.md, docs/serving.md.")]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", help="The cluster's head; by default this machine's cluster.", metavar="HOST:PORT"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The same seed gives the same result.", metavar="N")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]
Backend = Annotated[str, typer.Option("--backend", help="native, transformers or vllm.", metavar="NAME")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A name (see lantu models), a folder or a hub id.", metavar="MODEL")
]
Fit = Annotated[bool, typer.Option("--fit", help="Scale and crop pictures of another size.")]
Examples = Annotated[
    list[str] | None,
    typer.Option(
        "--example",
        help="An example picture and its caption: cat.png='a zorp'. May be repeated; order matters.",
        metavar="FILE=CAPTION",
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", help="Steps of the diffusion decoder.", metavar="N")]
RenderGuidance = Annotated[
    float | None,
    typer.Option("--render-guidance", help="How closely the decoder follows the codes; 1 is off.", metavar="G"),
]
Sampler = Annotated[
    str | None, typer.Option("--sampler", help="euler, heun, consistency, flow-euler or unipc.", metavar="NAME")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.", metavar="FILE")]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder that lantu data build wrote.", metavar="DIR")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="A sampling parameter, e.g. guidance=4.", metavar="KEY=VALUE")
]


def as_text(text: str | None) -> str | None:
    """An argument that the locale's encoding could not decode, decoded as UTF-8, which nearly all terminals send."""
    if text is None or text.isprintable():
        return text
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def renamed_to(now: str) -> Callable[[typer.CallbackParam, Any], Any]:
    """A callback for an option that lantu 0.1 named differently: it still works, and stderr gives the new name."""

    def warn(option: typer.CallbackParam, value: Any) -> Any:
        if value is not None:
            print(f"{option.opts[0]} is called {now} now", file=sys.stderr)
        return value

    return warn


def as_name(text: str) -> str:
    """A file name encoded as UTF-8 even if the system's encoding for names is another."""
    try:
        os.fsencode(text)
    except UnicodeError:
        return os.fsdecode(text.encode())
    return text


def given(context: typer.Context, *params: str) -> list[str]:
    """Those of some options that the user wrote, also with the default value: ``["--control-scale"]``.

    Args:
        params: names of the command function's arguments.
    """
    sources = {param: context.get_parameter_source(param) for param in params}
    return [f"--{param.replace('_', '-')}" for param, at in sources.items() if at and at.name == "COMMANDLINE"]


def alternatives(path: Path) -> Iterator[Path]:
    """The path itself, then with numbers: ``a.png``, ``a-2.png``, ``a-3.png``, …"""
    yield path
    for number in itertools.count(2):
        yield path.with_stem(f"{path.stem}-{number}")


def unused(path: Path, count: int = 1) -> Path:
    """The first of the alternatives that overwrites nothing.

    Args:
        count: files that will be named after it, see ``numbered``.
    """
    return next(each for each in alternatives(path) if not any(map(os.path.lexists, numbered(each, count))))


def check_results(out: Path, names: Sequence[str], keys: set[str]) -> None:
    """Refuse to overwrite files that are not earlier results.

    Args:
        out: the folder for results.
        names: file names that will be written; the first is JSON.
        keys: that this JSON, or each of its entries, must have to count as results.

    Raises:
        DiskError: other files have these names, or ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise DiskError(f"{out} is a file", "name a folder for the results")
    there = [name for name in names if (out / name).exists()]
    try:
        results = json.loads((out / names[0]).read_text(encoding="utf-8")) if there else {}
        ours = keys <= results.keys() or all(keys <= entry.keys() for entry in results.values())
    except (OSError, ValueError, AttributeError, RecursionError):
        ours = False
    if there and not ours:
        raise DiskError(
            f"{out} holds other things, which results would overwrite ({', '.join(there)})", "choose another folder"
        )


def parse_overrides(texts: list[str] | None) -> dict[str, Any]:
    """``["guidance=4"]`` → ``{"guidance": 4.0}``.

    Raises:
        LantuError: a parameter is unknown or its value out of range.
    """
    known = SamplingParams().as_dict()
    overrides = {}
    for text in texts or []:
        name, _, value = text.partition("=")
        if name in FORMER:
            print(f"the setting {name} is called {FORMER[name]} now", file=sys.stderr)
            name = FORMER[name]
        if name not in known:
            raise LantuError(f"no sampling parameter called {name}", f"choose one of {', '.join(known)}")
        try:
            overrides[name] = type(known[name])(value)
        except ValueError as problem:
            raise LantuError(f"{name} can't be {value!r}", "write it as key=value, e.g. guidance=4") from problem
    SamplingParams().change(**overrides)
    return overrides


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "192x128" → (192, 128), width first.

    Raises:
        LantuError: the text is not a size.
    """
    if text is None:
        return None
    from lantu.models import validation  # NumPy

    return validation.parse_size(text)


def numbered(path: Path, count: int) -> list[Path]:
    """``out.png`` for one file; ``out-1.png``, ``out-2.png``, … for more."""
    return [path] if count == 1 else [path.with_stem(f"{path.stem}-{index}") for index in range(1, count + 1)]
