"""The command ``lantu``: joins the commands, and turns what goes wrong into one line and an exit code."""

import os
import sys
from typing import Annotated

import typer

from lantu import __version__, terminal
from lantu.commands import bench, data, models, pictures, serving, talking, training
from lantu.errors import LantuError

DONE, OUR_FAULT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
app.command()(pictures.draw)
app.command()(talking.edit)
app.command()(pictures.caption)
app.command()(talking.chat)
app.command()(pictures.tokenize)
app.command()(pictures.detokenize)
app.command()(serving.serve)
app.command("studio", help="Open the studio, a page in the browser; serves all that lantu serve does.")(serving.serve)
app.command("models")(models.list_models)
app.command()(models.info)
app.add_typer(models.exports, name="export")
app.add_typer(data.app, name="data")
app.command()(training.train)
app.command()(training.assemble)
app.command("eval")(training.evaluate)
app.command()(bench.bench)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"lantu {__version__}")
        raise typer.Exit


@app.callback()
def lantu(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """蓝图: a language model drafts a picture, a diffusion decoder builds it."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad usage or bad input, 1 our fault, 130 interrupted by Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return app(args=arguments or ["--help"], prog_name="lantu", standalone_mode=False) or DONE
    except LantuError as problem:
        return refuse(str(problem))
    except typer.TyperException as problem:
        context = getattr(problem, "ctx", None)
        command = context.command_path if context else "lantu"
        return refuse(f"{problem.format_message().rstrip('.')} (see {command} --help)")
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except ModuleNotFoundError as problem:
        if (problem.name or "lantu").startswith("lantu"):
            raise
        return refuse(f"this needs {problem.name}, which is not installed: pip install 'lantu[train]'")
    except Exception as problem:
        if os.environ.get("LANTU_TRACEBACK"):
            raise
        terminal.say(f"lantu: our fault, sorry: {type(problem).__name__}: {problem} (details: set LANTU_TRACEBACK=1)")
        return OUR_FAULT


def refuse(message: str) -> int:
    """Say on one line what is wrong with the input."""
    terminal.say("lantu: " + "".join(character if character.isprintable() else " " for character in message))
    return BAD_INPUT
