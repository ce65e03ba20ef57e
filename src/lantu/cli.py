"""The command ``lantu``: registers the subcommands, and turns errors into one line and an exit code."""

import importlib
import itertools
import os
import sys
from typing import Annotated, Any

import typer

from lantu import __version__, files
from lantu.commands import terminal
from lantu.errors import TRAINING, LantuError, OutputError

DONE, BUG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
MAX_NAMED = 8  # files that a message lists by name

# Name → module of ``lantu.commands`` and the function, or the group of commands, there; in the order of the help.
COMMANDS = {
    "draw": ("pictures", "draw"),
    "edit": ("talking", "edit"),
    "caption": ("pictures", "caption"),
    "chat": ("talking", "chat"),
    "tokenize": ("pictures", "tokenize"),
    "detokenize": ("pictures", "detokenize"),
    "serve": ("serving", "serve"),
    "studio": ("serving", "serve"),
    "models": ("models", "models"),
    "info": ("models", "info"),
    "export": ("exporting", "exports"),
    "data": ("data", "app"),
    "make": ("make", "make"),
    "train": ("training", "train"),
    "assemble": ("training", "assemble"),
    "adopt": ("adopt", "adopt"),
    "eval": ("training", "evaluate"),
    "compare": ("compare", "compare"),
    "bench": ("bench", "bench"),
}
HELP = {"studio": "Open the studio, a page in the browser; serves all that lantu serve does."}


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        print(f"lantu {__version__}")
        raise typer.Exit


def lantu(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """蓝图: a language model drafts a picture, a diffusion decoder builds it."""


def application(arguments: list[str]) -> typer.Typer:
    """The command with its subcommands: the one that is called alone, for building the others takes longer than it."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.callback()(lantu)
    for name in arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS:
        module, attribute = COMMANDS[name]
        command = getattr(importlib.import_module(f"lantu.commands.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, help=HELP.get(name))(command)
    return app


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 2 bad usage or input, 1 a bug, 130 interrupted by Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    files.WRITTEN.clear()
    with terminal.streams():
        return run(arguments)


def run(arguments: list[str]) -> int:
    """Run one command with prepared streams; see ``main``."""
    try:
        command = typer.main.get_command(application(arguments))
        check_values(command, arguments)
        code = command(args=arguments or ["--help"], prog_name="lantu", standalone_mode=False) or DONE
        sys.stdout.flush()  # an error can still be reported here
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
        return refuse(f"this needs {problem.name}, which is not installed: {TRAINING}")
    except (OSError, UnicodeError, MemoryError) as problem:
        if os.environ.get("LANTU_TRACEBACK"):
            raise
        return refuse(str(refusal(problem)))
    except Exception as problem:
        if os.environ.get("LANTU_TRACEBACK"):
            raise
        terminal.say(f"lantu: a bug, sorry: {type(problem).__name__}: {problem} (details: set LANTU_TRACEBACK=1)")
        return BUG


def check_values(command: Any, arguments: list[str]) -> None:
    """Refuse an option in the place of another one's value, which the parser would take for the value.

    Args:
        command: that is called, or the group that it is in.

    Raises:
        LantuError: names both.
    """
    words = list(arguments)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = [each for each in command.params if each.param_type_name == "option"]
    known = {name for each in options for name in (*each.opts, *each.secondary_opts)}
    valued = {name for each in options if not each.is_flag and not each.count for name in each.opts}
    for option, value in itertools.pairwise(itertools.takewhile(lambda word: word != "--", words)):
        if option in valued and value.partition("=")[0] in known:
            raise LantuError(
                f"{option} lacks its value, {value} comes after it", f"write {option} VALUE, or leave it out"
            )


def refusal(problem: OSError | UnicodeError | MemoryError) -> LantuError:
    """An error of the environment as a one-line error."""
    if isinstance(problem, OSError):
        return files.refusal(problem)
    if isinstance(problem, MemoryError):
        return LantuError("not enough memory", "do less at a time, or free some memory")
    return LantuError(f"text in another encoding ({problem})", "use UTF-8: set PYTHONUTF8=1 or LC_ALL=C.UTF-8")


def done() -> str:
    """The files that were written although stdout failed."""
    made = [str(path) for path in files.WRITTEN if path.exists()]
    if not made:
        return "redirect it to a place that can be written"
    names = ", ".join(made) if len(made) <= MAX_NAMED else f"{made[0]} … {made[-1]} ({len(made)} files)"
    return f"but {names} {'is' if len(made) == 1 else 'are'} written"


def refuse(message: str) -> int:
    """Print one line that says what is wrong, and return the exit code of bad input."""
    terminal.say("lantu: " + "".join(character if character.isprintable() else " " for character in message))
    return BAD_INPUT
