"""The command ``compare``."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.options import Device, Json
from lantu.errors import LantuError

EVERY_S = 20.0  # between lines of progress
BUDGET = 3e13  # operations: 20 minutes of a core that trains at 25 GFLOP/s
DEBUG: dict[str, Any] = {
    "budget": 5e9,
    "levels": (1, 2),
    "seeds": 2,
    "rates": (1.0, 4.0),
    "weights": (10.0,),
    "prompts": 8,
    "captions": 2,
    "swept": 4,
    "debug": True,
}


def compare(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Of everything; the same call goes on.", metavar="DIR")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Composed scenes (default: the world few, one style).", metavar="DIR")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=1e6, help="Training operations of a system, at the least.", metavar="FLOPS")
    ] = None,
    systems: Annotated[str | None, typer.Option(help="Names, with commas (default: six).", metavar="A,B")] = None,
    load: Annotated[
        list[str] | None, typer.Option(help="Take a run or a model instead of training.", metavar="NAME=RUN|MODEL")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="Budgets, as multiples of the least (default: 1,4,16).", metavar="L,L")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Of the least budget (default: 3).", metavar="N")] = None,
    rates: Annotated[
        str | None, typer.Option(help="Learning rates, as multiples (default: 0.25,1,4).", metavar="R,R")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Between losses, as multiples (default: 0.1,10).", metavar="W,W")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Of a budget: what sees, drafts and renders.", metavar="S,D,R")
    ] = "0.2,0.5,0.3",
    prompts: Annotated[
        int | None, typer.Option(min=4, help="Drawn for each figure (default: 512).", metavar="N")
    ] = None,
    captions: Annotated[
        int | None, typer.Option(min=1, help="Captions, and edits, of each system (default: 512).", metavar="N")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time (default: one a core).", metavar="N")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be trained, and nothing more.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Everything, in sizes of seconds.")] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train lantu and its rivals at equal budgets, score them alike, and write a report."""
    from lantu.training.machine import prepare

    prepare()
    terminal.show_warnings()
    from lantu.recipes.compare import comparing
    from lantu.recipes.compare import systems as known
    from lantu.recipes.compare.planning import Asked

    if out is None and not plan:
        raise LantuError("a comparison needs a folder", "name it: -o DIR")
    names = tuple(name.strip() for name in systems.split(",")) if systems else known.USUAL
    given = {"budget": budget, "seeds": seeds, "prompts": prompts, "captions": captions}
    how = (DEBUG if debug else {"budget": BUDGET}) | {name: value for name, value in given.items() if value is not None}
    for name, read, text in (("levels", whole, levels), ("rates", numbers, rates), ("weights", numbers, weights)):
        if text is not None:
            how[name] = tuple(dict.fromkeys(read(f"--{name}", text)))
    how |= {"split": numbers("--split", split), "device": device}
    asked = Asked(str(data or ""), systems=names, loaded=named(load or []), **how)
    if plan:
        import torch

        torch.set_num_threads(1)  # hours are those of one core
        show_plan(comparing.plan(asked, terminal.say), json)
        return
    assert out is not None
    with terminal.progress("comparing", shown=not json) as advance:
        result = comparing.compare(asked, out, progress(advance, not json), jobs)
    if json:
        terminal.print_json(result)
    else:
        show(result)


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Positive numbers with commas between them. Raises LantuError."""
    try:
        found = tuple(float(each) for each in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(each) and each > 0 for each in found):
        raise LantuError(f"{option} can't be {text!r}", "give positive numbers with commas between them")
    return found


def whole(option: str, text: str) -> tuple[int, ...]:
    """Positive whole numbers with commas between them. Raises LantuError."""
    found = numbers(option, text)
    if not all(each.is_integer() for each in found):
        raise LantuError(f"{option} can't be {text!r}", "give whole numbers with commas between them")
    return tuple(int(each) for each in found)


def named(loaded: list[str]) -> dict[str, str]:
    """NAME=RUN|MODEL by name. Raises LantuError."""
    pairs = [one.partition("=") for one in loaded]
    if wrong := next(
        (one for one, (name, _, source) in zip(loaded, pairs, strict=True) if not name or not source), None
    ):
        raise LantuError(f"--load can't be {wrong!r}", "write it as NAME=RUN or NAME=MODEL")
    found = {name: source for name, _, source in pairs}
    if len(found) < len(pairs):
        raise LantuError("--load names a system twice", "compare the second model in a folder of its own")
    return found


def progress(advance: Callable[[int, int], None], shown: bool) -> Callable[[str, int, int], None]:
    """A bar on a terminal, now and then a line elsewhere."""
    said = [-EVERY_S]

    def tell(step: str, done: int, total: int) -> None:
        advance(done, total)
        if shown and not sys.stderr.isatty() and time.monotonic() - said[0] >= EVERY_S:
            said[0] = time.monotonic()
            terminal.say(f"{step}  ({done} of {total})")

    return tell


def show(result: dict[str, Any]) -> None:
    """The table, and whether it keeps the rule."""
    from lantu.recipes.compare.columns import rows
    from lantu.recipes.compare.page import describe_breach, not_yet

    comparison, systems = result["comparison"], {name: one for name, one in result.items() if name != "comparison"}
    terminal.print_table(rows(systems))
    print()
    for broken in comparison["rule"]["broken"]:
        print(f"not at equal budgets, {broken['rule']}: {describe_breach(broken)}")
    for line in not_yet(systems):
        print(f"draws nothing recognisable yet: {line}")
    print(f"{comparison['report']}  the report")


def show_plan(plan: dict[str, Any], json: bool) -> None:
    """What would be trained."""
    if json:
        terminal.print_json(plan)
        return
    rows = [("trial", "operations", "hours", "steps")]
    for one in plan["systems"].values():
        for trial in one["trials"]:
            steps = ", ".join(f"{name} {count:,}" for name, count in trial["steps"].items())
            rows.append((trial["key"], f"{trial['flops']:.3g}", f"{trial['hours']:.2f}", steps))
    terminal.print_table(rows)
    print()
    totals = [("system", "parameters", "operations", "hours", "GFLOP/s")]
    for name, one in plan["systems"].items():
        rates = ", ".join(f"{part} {rate:.0f}" for part, rate in one["gflop_per_s"].items())
        totals.append((name, f"{one['parameters'] / 1e6:.1f}M", f"{one['flops']:.3g}", f"{one['hours']:.1f}", rates))
    terminal.print_table(totals)
    print(f"\n{plan['hours']:.1f} hours of trainings on one core; what several systems share is counted once.")
    print("Drawing and scoring come on top.")
