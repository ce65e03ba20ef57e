"""The commands ``models``, ``models accept`` and ``info``."""

from typing import Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.options import Json, ModelName
from lantu.errors import LantuError, ModelError
from lantu.models import hub, memory, registry, terms

models = typer.Typer(help="List the models that can be named, and the families that can be opened.")


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context, json: Json = False) -> None:
    """List the models that can be named, and the families that can be opened."""
    if context.invoked_subcommand:
        return
    facts = []
    for folder in hub.every():
        try:
            facts.append(folder.describe())
        except ModelError as problem:
            terminal.say(f"lantu: {folder.path} is skipped: {problem}")
    families = [family.describe() for family in registry.FAMILIES]
    if json:
        terminal.print_json({"models": facts, "installed": facts, "families": families})
        return
    if not facts:
        print(f"no models in {', '.join(map(str, hub.shelves()))}")
    else:
        rows = [(name(each), each["pixels"], parameters(each), megabytes(each), each["folder"]) for each in facts]
        terminal.print_table([("model", "pixels", "parameters", "size", "folder"), *rows])
    print("\nfamilies that can be opened from a folder or the hub (--model DIR or ID)")
    columns = ("name", "tasks", "licence", "size", "tokens", "sizes")
    terminal.print_table(
        [("family", *columns[1:]), *(tuple(readable(one[key]) for key in columns) for one in families)]
    )
    for one in families:
        if not one["accepted"]:
            print(f"\n{one['name']} is off until you accept: {one['notice']}: lantu models accept {one['name']}")


@models.command("accept")
def accept(
    family: Annotated[str, typer.Argument(help="Its name (see lantu models).", metavar="FAMILY")], json: Json = False
) -> None:
    """Accept the terms of a family of models that is off until you do."""
    asking = ", ".join(one.name for one in registry.FAMILIES if one.must_accept)
    try:
        chosen = registry.named(family)
    except LantuError as problem:
        raise LantuError(problem.message, f"only {asking} has terms to accept: lantu models accept {asking}") from None
    if chosen.must_accept:
        terms.accept(chosen.name, chosen.must_accept)
    if json:
        terminal.print_json({"family": family, "accepted": chosen.must_accept})
    else:
        print(f"accepted: {chosen.must_accept}" if chosen.must_accept else f"{family} asks for nothing to be accepted")


def info(model: ModelName = None, json: Json = False) -> None:
    """Show a model's parts, license and scores."""
    facts = hub.find(model).check().describe()
    if json:
        terminal.print_json(facts)
    else:
        facts["memory"] = {part: memory.readable(count) for part, count in facts["memory"].items()}
        terminal.print_table([(key, readable(value)) for key, value in facts.items()])


def name(facts: dict[str, Any]) -> str:
    """The model's name, with a star at the default model."""
    return facts["name"] + (" *" if facts["name"] == hub.DEFAULT else "")


def parameters(facts: dict[str, Any]) -> str:
    """The number of parameters in millions."""
    return f"{sum(facts['parameters'].values()) / 1e6:.1f} M"


def megabytes(facts: dict[str, Any]) -> str:
    """The size on disk in megabytes."""
    return f"{facts['bytes'] / 1e6:.1f} MB"


def readable(value: Any) -> str:
    """A value on one line, nested ones too: ``language 10,100,000, tokenizer 5,200,000``."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {readable(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(readable, value))
    return f"{value:,}" if isinstance(value, int) else f"{value}"
