"""The commands ``data build``, ``inspect``, ``caption``, ``tokenize`` and ``export``."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lantu.commands import terminal
from lantu.commands.bulk import RayWorkers, cluster_of
from lantu.commands.opening import load
from lantu.commands.options import Device, Json, ModelName, Ray, RayAddress
from lantu.commands.options import Seed as RandomSeed
from lantu.models import hub

app = typer.Typer(help="Build, inspect and convert training data.")
build = typer.Typer(help="Build a data folder.")
app.add_typer(build, name="build")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder that lantu data build wrote.", show_default=False)
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The data folder (default: in the cache).", metavar="DIR")
]
Pixels = Annotated[int, typer.Option("--size", min=16, max=4096, help="Pixels a side.", metavar="N")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another seed gives other data.", metavar="N")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes (default: one per core).", metavar="N")]
Aspect = Annotated[
    Literal["auto", "keep", "crop", "pad"],
    typer.Option(help="Pictures that aren't square: keep their shapes, crop the centre, or pad with the background."),
]
Captions = Annotated[
    bool, typer.Option("--captions/--no-captions", help="Take captions from tables and files beside pictures.")
]
Background = Annotated[str, typer.Option(help="Behind transparent pictures: white, #88ccff, ….", metavar="COLOUR")]
Labels = Annotated[
    str,
    typer.Option(help="Class labels as captions: folders (their names), or a column.", metavar="folders|COLUMN"),
]
Flips = Annotated[
    bool, typer.Option("--flips", help="Train on mirrored copies too, where no caption tells left from right.")
]
Crops = Annotated[
    int, typer.Option(min=0, max=16, help="Train on so many random crops of each picture too.", metavar="N")
]
Tokenizer = Annotated[
    Path | None, typer.Option(help="A run, a model or its folder, in place of --model's.", metavar="DIR|MODEL")
]
Count = typer.Option(min=0, help="Pictures in this split.", metavar="N")


@build.command("emoji")
def build_emoji(
    out: Out = None,
    world: Annotated[str, typer.Option(help="few, everyday, common, composable or all.")] = "everyday",
    styles: Annotated[
        str | None, typer.Option(help="Names, separated by commas, or all (default: the first seven).")
    ] = None,
    train: Annotated[int, Count] = 30_000,
    val: Annotated[int, Count] = 1_000,
    heldout: Annotated[int, Count] = 1_000,
    edits: Annotated[
        int, typer.Option(min=0, help="Pairs of scenes, before and after an instruction.", metavar="N")
    ] = 0,
    size: Pixels = 128,
    snap: Annotated[int, typer.Option(min=0, help="0 moves objects randomly off their slots.", metavar="N")] = 8,
    placement: Annotated[
        Literal["slots", "anywhere"], typer.Option(help="Where things stand: in a few slots, or anywhere in any size.")
    ] = "slots",
    seed: Seed = 0,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Compose captioned scenes of emoji in up to eight styles, fetched with npm."""
    from lantu.data.build import build_emoji
    from lantu.data.styles import STYLES

    chosen = [style.strip() for style in styles.split(",")] if styles else None
    if chosen == ["all"]:
        chosen = list(STYLES)
    with terminal.progress("composing", shown=not json) as advance:
        counts = (train, val, heldout, edits)
        folder = build_emoji(out, world, chosen, *counts, size, snap, seed, workers, advance, placement)
    report(folder, json)


@build.command("folder")
def build_folder(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder of pictures, a table of them, or WebDataset tars.")
    ],
    out: Out = None,
    size: Pixels = 128,
    aspect: Aspect = "auto",
    captions: Captions = True,
    background: Background = "white",
    labels: Labels = "",
    flips: Flips = False,
    crops: Crops = 0,
    val: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.9,
            help="Share held out for validation; 0 for none (default: 0.05, of few pictures up to 0.2).",
            metavar="SHARE",
        ),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Import your own pictures and captions."""
    from lantu.data.build import build_folder

    with terminal.progress("reading", shown=not json) as advance:
        how = (aspect, captions, background, labels, flips, crops)
        folder = build_folder(path, out, size, val, seed, workers, advance, *how)
    report(folder, json)


@build.command("drawings")
def build_drawings(
    out: Annotated[Path, typer.Option("--out", "-o", help="The data folder.", metavar="DIR")],
    model: ModelName = None,
    count: Annotated[int, typer.Option("-n", min=10, max=100_000, help="Drawings in all.", metavar="N")] = 200,
    prompts: Annotated[
        Path | None,
        typer.Option(help="What to draw (default: captions of its data, or its words).", metavar="FILE"),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Keep a model's own drawings as data, so that it rehearses them while it learns other pictures."""
    from lantu.recipes.rehearsal import build_drawings

    with terminal.progress("drawing", shown=not json) as advance:
        folder = build_drawings(model, out, count, prompts, seed, device, advance)
    report(folder, json)


def report(folder: Path, as_json: bool) -> None:
    """Print what was built, and what was imported, changed and left out."""
    from lantu.data.account import NAMED, account_of, lines
    from lantu.data.shards import read_index

    index = read_index(folder)
    counts = {split: entry["count"] for split, entry in index["splits"].items()}
    account = account_of(index, None if not as_json else NAMED)
    if as_json:
        summary = {"folder": str(folder), "pictures": counts, "skipped": index["skipped"], "account": account}
        terminal.print_json(summary)
        return
    for line in lines(account):
        print(line, file=sys.stderr, flush=True)
    skipped = f", {len(index['skipped']):,} skipped" if index["skipped"] else ""
    print(f"{folder}  {', '.join(f'{count:,} {split}' for split, count in counts.items())}{skipped}")


@app.command()
def inspect(
    folder: Folder,
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet, as PNG.", metavar="FILE")] = None,
    split: Annotated[str, typer.Option(help="Split of the contact sheet: train, val or heldout.")] = "train",
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Count pictures, kinds and captions, and with --model the tokens in captions."""
    from lantu.data.inspect import contact_sheet, inspect

    encode = None
    if model is not None:
        from lantu.weights.text_codec import read_codec

        encode = read_codec(own_model(model) / "language").encode
    with terminal.progress("counting", shown=not json) as advance:
        summary = inspect(folder, encode, advance)
    if sheet:
        contact_sheet(folder, sheet, split)
    if json:
        terminal.print_json(summary)
    else:
        describe(summary)
        if sheet:
            print(sheet)


def describe(summary: dict[str, Any]) -> None:
    """The result of ``inspect`` for a person."""
    from lantu.data.account import lines

    print(f"{summary['folder']}  {summary['source']}, {summary['size']} pixels a side")
    for split, counts in summary["splits"].items():
        print(f"\n{split}  {counts['pictures']:,} pictures, {counts['uncaptioned']:,} without a caption")
        for name in ("kinds", "objects", "styles", "backgrounds"):
            if counts[name]:
                print(f"  {name:12}{', '.join(f'{key} {count:,}' for key, count in counts[name].items())}")
        if counts["concepts"]:
            print(f"  {'concepts':12}{counts['concepts']:,}")
        for language, lengths in counts["captions"].items():
            units = [f"{unit} {spread(lengths[unit])}" for unit in ("characters", "ids") if unit in lengths]
            print(f"  {language + ' captions':12}{lengths['captions']:,}, {', '.join(units)}")
    if summary["account"]:
        print("\n" + "\n".join(lines(summary["account"])))


def spread(lengths: dict[str, float]) -> str:
    """Least, median and most, in a few characters."""
    return f"{lengths['least']} to {lengths['most']} (median {lengths['median']:g})"


@app.command()
def caption(
    pictures: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A folder of pictures, a table, tars, or data that lantu has built."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The table: JSON lines. In PATH, or beside it.", metavar="FILE.jsonl")
    ],
    lang: Annotated[Literal["en", "zh", "both"], typer.Option(help="Language of the captions.")] = "en",
    again: Annotated[bool, typer.Option("--again", help="Caption pictures that have captions, too.")] = False,
    temperature: Annotated[float, typer.Option(min=0, help="0 gives the likeliest captions.", metavar="T")] = 0.0,
    together: Annotated[int, typer.Option(help="Pictures captioned at once.", min=1, max=4096, metavar="N")] = 16,
    seed: RandomSeed = None,
    model: ModelName = None,
    device: Device = "auto",
    ray: Ray = False,
    ray_address: RayAddress = None,
    workers: RayWorkers = None,
    json: Json = False,
) -> None:
    """Caption pictures that have no captions, in a table that data build reads with them."""
    from lantu.data.account import NAMED, lines
    from lantu.recipes.bulk.captioning import CaptionRun, OnRay

    cluster = cluster_of(ray, ray_address, workers)
    # On a cluster the model computes elsewhere.
    opened = load(model, "cpu" if cluster else device, ability="captioning")
    languages = ("en", "zh") if lang == "both" else (lang,)
    run = CaptionRun(opened, pictures, out, languages, again, temperature, seed, together, device)
    with terminal.progress("captioning", shown=not json) as advance:
        result = run.write(OnRay(cluster) if cluster else None, advance)
    account = [{**group, "files": group["files"][:NAMED]} for group in result["account"]]
    if json:
        terminal.print_json(result | {"account": account})
        return
    for line in lines(result["account"]):
        print(line, file=sys.stderr, flush=True)
    kept = result["pictures"] - result["captioned"]
    before = f", {kept:,} of them earlier" if kept else ""
    written = ", ".join(f"{count:,} captions in {language}" for language, count in result["captions"].items())
    print(f"{out}  {written or 'no captions'} of {result['pictures']:,} pictures{before}")


@app.command()
def tokenize(
    folder: Folder,
    tokenizer: Tokenizer = None,
    model: ModelName = None,
    device: Device = "cpu",
    ray: Ray = False,
    ray_address: RayAddress = None,
    workers: RayWorkers = None,
    json: Json = False,
) -> None:
    """Encode all pictures; their codes are stored in the data folder."""
    if cluster := cluster_of(ray, ray_address, workers):
        from lantu.recipes.bulk.tokenizing import tokenize_on_ray

        with terminal.progress("tokenizing", shown=not json) as advance:
            name = tokenize_on_ray(folder, tokenizer or own_model(model) / "tokenizer", cluster, device, advance)
    else:
        name = make_codes(folder, tokenizer, model, json, device)
    if json:
        terminal.print_json({"folder": str(folder), "codes": name})
    else:
        print(f"{folder}  codes {name}")


@app.command()
def export(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file; for megatron, without .bin.", metavar="FILE")],
    format: Annotated[Literal["jsonl", "parquet", "megatron"], typer.Option(help="What to write.")] = "jsonl",
    split: Annotated[str, typer.Option(help="train, val or heldout.")] = "train",
    tokenizer: Tokenizer = None,
    language: Annotated[
        Path | None, typer.Option(help="A run, a model or its folder, in place of --model's.", metavar="DIR|MODEL")
    ] = None,
    model: ModelName = None,
    json: Json = False,
) -> None:
    """Write captions and codes as token ids, for other language model trainers."""
    from lantu.data.export import export
    from lantu.recipes import identity

    terminal.show_warnings()
    language_path = language_folder(language, model)
    name = make_codes(folder, tokenizer, model, json)
    identity.check_codes(language_path, name)
    with terminal.progress("writing", shown=not json) as advance:
        count = export(folder, name, language_path, out, format, split, advance)
    if json:
        terminal.print_json({"file": str(out), "format": format, "documents": count})
    else:
        print(f"{out}  {count:,} documents")


def language_folder(language: Path | None, model: str | None) -> Path:
    """A language model's folder, which may hold only its tokenizer and config."""
    from lantu.recipes.sources import part_folder

    if language and (language / "tokenizer.json").is_file():
        return language
    return part_folder(language or own_model(model), "language")


def own_model(model: str | None) -> Path:
    """The folder of a model whose parts can be named one by one. Raises LantuError for other families."""
    from lantu.models.lantu.folder import own

    instead = "name one of lantu models, or the parts themselves: --tokenizer, --language"
    return own(hub.find(model), "data for training", instead).path


def make_codes(folder: Path, tokenizer: Path | None, model: str | None, quiet: bool, device: str = "cpu") -> str:
    """Encode the pictures that have no codes yet; returns the codes' name."""
    from lantu.models.loader import choose_device
    from lantu.recipes.codes import ensure_codes, load_tokenizer

    place = tokenizer or own_model(model) / "tokenizer"
    with terminal.progress("tokenizing", shown=not quiet) as advance:
        return ensure_codes(folder, load_tokenizer(place), advance, choose_device(device))
