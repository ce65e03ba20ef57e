"""models, info, export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.options import Json, ModelName
from lantu.errors import ModelError
from lantu.models import hub, registry

exports = typer.Typer(help="Write a model in the formats of others.")


def list_models(json: Json = False) -> None:
    """List the models that can be named, and the families that can be opened."""
    told = []
    for folder in hub.every():
        try:
            told.append(folder.describe())
        except ModelError as problem:
            terminal.say(f"lantu: {folder.path} is left out: {problem}")
    families = [family.describe() for family in registry.FAMILIES]
    if json:
        terminal.print_json({"models": told, "installed": told, "families": families})
        return
    if not told:
        print(f"no models in {', '.join(map(str, hub.shelves()))}")
    else:
        rows = [(name(one), one["pixels"], parameters(one), megabytes(one), one["folder"]) for one in told]
        terminal.print_table([("model", "pixels", "parameters", "size", "folder"), *rows])
    print("\nfamilies that can be opened from a folder (--model DIR)")
    columns = ("name", "tasks", "licence", "tokens", "sizes")
    terminal.print_table(
        [("family", *columns[1:]), *(tuple(readable(one[key]) for key in columns) for one in families)]
    )


def info(model: ModelName = None, json: Json = False) -> None:
    """Tell what a model is made of, its license and its scores."""
    told = hub.find(model).check().describe()
    if json:
        terminal.print_json(told)
    else:
        terminal.print_table([(key, readable(value)) for key, value in told.items()])


@exports.callback()
def export() -> None:
    """Write a model in the formats of others."""


@exports.command("gguf")
def export_gguf(
    model: ModelName = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file (default: MODEL.gguf).", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """Write the language model as one GGUF file, for llama.cpp."""
    from lantu.models.lantu.language.gguf import export

    folder = hub.find(model)
    path = export(folder.path / "language", output or Path(f"{folder.name}.gguf"))
    size = path.stat().st_size
    if json:
        terminal.print_json({"file": str(path), "bytes": size, "model": folder.name})
    else:
        print(f"{path}  {size / 1e6:.1f} MB")


def name(told: dict[str, Any]) -> str:
    """With a star at the one that is taken when none is named."""
    return told["name"] + (" *" if told["name"] == hub.DEFAULT else "")


def parameters(told: dict[str, Any]) -> str:
    """Numbers of all parts together, in millions."""
    return f"{sum(told['parameters'].values()) / 1e6:.1f} M"


def megabytes(told: dict[str, Any]) -> str:
    """Size of the directory."""
    return f"{told['bytes'] / 1e6:.1f} MB"


def readable(value: Any) -> str:
    """On one line, what is nested too: ``language 10,100,000, tokenizer 5,200,000``."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {readable(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(readable, value))
    return f"{value:,}" if isinstance(value, int) else f"{value}"
