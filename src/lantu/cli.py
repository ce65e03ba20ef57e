"""The command ``lantu``: joins the commands, and turns what goes wrong into one line and an exit code."""

import os
import sys
from typing import Annotated

import typer

from lantu import __version__, files
from lantu.commands import bench, data, models, pictures, serving, talking, terminal, training
from lantu.errors import LantuError, OutputError

DONE, OUR_FAULT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MOST_NAMED = 8  # files that a message names one by one

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
    files.MADE.clear()
    with terminal.streams():
        return run(arguments)


def run(arguments: list[str]) -> int:
    """Run one command on streams that are ready; see ``main``."""
    try:
        code = app(args=arguments or ["--help"], prog_name="lantu", standalone_mode=False) or DONE
        sys.stdout.flush()  # here its refusal can still be said
        return code
    except OutputError as problem:
        terminal.give_up_stdout()
        return refuse(f"{problem}: {done()}")
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
    except (OSError, UnicodeError, MemoryError) as problem:
        if os.environ.get("LANTU_TRACEBACK"):
            raise
        return refuse(str(refusal(problem)))
    except Exception as problem:
        if os.environ.get("LANTU_TRACEBACK"):
            raise
        terminal.say(f"lantu: our fault, sorry: {type(problem).__name__}: {problem} (details: set LANTU_TRACEBACK=1)")
        return OUR_FAULT


def refusal(problem: OSError | UnicodeError | MemoryError) -> LantuError:
    """What the environment refuses, in a line."""
    if isinstance(problem, OSError):
        return files.refusal(problem)
    if isinstance(problem, MemoryError):
        return LantuError("not enough memory", "ask for less at a time, or free some")
    return LantuError(f"text of another encoding ({problem})", "use UTF-8: set PYTHONUTF8=1, or LC_ALL=C.UTF-8")


def done() -> str:
    """What has been written to files although it can't be told on stdout."""
    made = [str(path) for path in files.MADE if path.exists()]
    if not made:
        return "send it to a place that takes it"
    told = ", ".join(made) if len(made) <= MOST_NAMED else f"{made[0]} … {made[-1]} ({len(made)} files)"
    return f"but {told} {'is' if len(made) == 1 else 'are'} written"


def refuse(message: str) -> int:
    """Say on one line what is wrong with the input."""
    terminal.say("lantu: " + "".join(character if character.isprintable() else " " for character in message))
    return BAD_INPUT
