"""The command ``export``: a model in another tool's format."""

from pathlib import Path
from typing import Annotated

import typer

from lantu.commands import terminal
from lantu.commands.options import Device, Json, ModelName
from lantu.models import hub

PROMPTS = ("a cat on the left and a dog on the right", "左边一只猫，右边一只狗", "two red apples", "a house")
Folder = Annotated[Path, typer.Option("--output", "-o", help="The folder to write.", metavar="DIR")]

exports = typer.Typer(help="Write a model in another format.")


@exports.callback()
def export() -> None:
    """Write a model in another format."""


@exports.command("gguf")
def export_gguf(
    model: ModelName = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file (default: MODEL.gguf).", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """Write the language model as one GGUF file, for llama.cpp."""
    from lantu.models.lantu.folder import own
    from lantu.models.lantu.language.gguf import export

    instead = "convert it with its own tools: llama.cpp's convert_hf_to_gguf.py reads directories of transformers"
    folder = own(hub.find(model), "the export as GGUF", instead)
    path = export(folder.path / "language", output or Path(f"{folder.name}.gguf"))
    size = path.stat().st_size
    if json:
        terminal.print_json({"file": str(path), "bytes": size, "model": folder.name})
    else:
        print(f"{path}  {size / 1e6:.1f} MB")


@exports.command("diffusers")
def export_diffusers(output: Folder, model: ModelName = None, json: Json = False) -> None:
    """Write a folder that DiffusionPipeline opens where lantu is not installed."""
    from lantu.models.lantu.export.folder import export

    folder = hub.find(model)
    report(export(folder, output), folder.name, json)


@exports.command("hub")
def export_hub(
    output: Folder,
    model: ModelName = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="Of a sample picture. May be repeated.", metavar="TEXT")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample pictures.", metavar="N")] = 7,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Write a directory that is ready for the Hugging Face hub, with a card and sample pictures."""
    from lantu.commands.opening import load
    from lantu.images import metadata
    from lantu.models.lantu.export import hub as export

    export.check(hub.find(model))
    opened = load(model, device)

    def draw(text: str, number: int, path: Path) -> None:
        metadata.save_picture(opened.draw(text, seed=number), path)

    report(export.export(opened.folder, output, draw, prompt or PROMPTS, seed), opened.name, json)


def report(path: Path, model: str, json: bool) -> None:
    """Say what was written."""
    size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    if json:
        terminal.print_json({"folder": str(path), "bytes": size, "model": model})
    else:
        print(f"{path}  {size / 1e6:.1f} MB")
