"""``lantu eval --prompts``: draws a public suite of prompts."""

from pathlib import Path
from typing import Any

from lantu.commands import terminal
from lantu.commands.opening import load
from lantu.errors import LantuError


def draw_suite(
    model: str | None, prompts: Path, out: Path | None, device: str, backend: str, json: bool, **options: Any
) -> None:
    """Draw the prompts and report.

    Args:
        options: of ``lantu.recipes.prompt_suite.SuiteRun``.

    Raises:
        LantuError: there is no folder to draw into, or see ``SuiteRun``.
    """
    if out is None:
        raise LantuError("--prompts draws into a folder", "name it: -o DIR")
    from lantu.evaluation.prompts import read_prompts
    from lantu.recipes.prompt_suite import SuiteRun

    read_prompts(prompts)  # before the model is opened
    run = SuiteRun(load(model, device, backend), prompts, out, **options)
    terminal.warn(run.warnings())
    with terminal.progress("drawing", shown=not json) as advance:
        result = run.draw(advance)
    if json:
        terminal.print_json(result)
        return
    kept = result["pictures"] - result["drawn"]
    before = f", {kept:,} of them earlier" if kept else ""
    print(f"{out}  {result['pictures']:,} pictures of {result['prompts']:,} prompts{before}  seed {result['seed']}")
    if result["scorer"]:
        print(f"score them: {result['scorer']}")
