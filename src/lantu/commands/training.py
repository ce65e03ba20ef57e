"""The commands ``train``, ``assemble`` and ``eval``."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lantu.commands import terminal
from lantu.commands.options import (
    Backend,
    DataFolder,
    Device,
    Json,
    ModelName,
    Overrides,
    Seed,
    check_results,
    parse_overrides,
    parse_size,
)
from lantu.commands.suites import draw_suite
from lantu.errors import LantuError

if TYPE_CHECKING:
    from lantu.models.lantu.folder import LantuFolder
    from lantu.recipes.tuning import Choice

Run = Annotated[
    Path | None,
    typer.Option(help="A run of lantu train, a model, or the part's own folder.", metavar="DIR", show_default=False),
]
RECIPE = "emoji"  # the default


def train(
    part: Annotated[
        Literal["tokenizer", "language", "decoder", "control", "upscaler", "rival"],
        typer.Argument(help="What to train."),
    ],
    data: DataFolder,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="An unknown name lists them all (default: emoji; with --resume the run's; adopted from such a start).",
            metavar="NAME",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Of the run (default: runs/PART-RECIPE).", metavar="DIR")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting, e.g. loop.steps=1000.", metavar="KEY=VALUE")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A run or a model whose codes the others learn.", metavar="DIR|MODEL")
    ] = None,
    start: Annotated[str | None, typer.Option(help="A run or a model to start from.", metavar="DIR|MODEL")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint, with the run's settings.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate the cost of a run; write nothing.")] = False,
    devices: Annotated[
        int, typer.Option(min=1, max=100_000, help="With --dry-run: simulate so many devices.", metavar="N")
    ] = 1,
    bandwidth: Annotated[
        float | None,
        typer.Option(min=0.001, help="With --devices: GB/s that each can receive (default: 50).", metavar="B"),
    ] = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train one part of a model by a recipe."""
    from lantu.training.machine import prepare

    prepare()
    terminal.show_warnings()
    from lantu import recipes
    from lantu.recipes import runs

    overrides = [*(setting or []), *named_settings(part, seed, tokenizer, start)]
    if part == "rival" and recipe is None and not resume:
        raise LantuError("which rival?", f"name its recipe: --recipe {', '.join(recipes.names(part))}")
    usual = "adopted" if part == "language" and recipe is None and starts_adopted(overrides) else RECIPE
    folder = out or Path("runs") / f"{part}-{recipe or usual}"
    if recipe is None:
        recipe = (runs.recipe_of(folder) if resume else "") or usual
    if devices > 1 and not dry_run:
        raise LantuError("--devices only simulates", "add --dry-run; to train on several: torchrun -m lantu train …")
    many: dict[str, Any] = {"devices": devices, "gigabytes_per_s": bandwidth} if devices > 1 else {}
    result: Any = recipes.train(part, recipe, data, folder, overrides, resume, dry_run, device, not json, **many)
    if dry_run:
        terminal.print_json(result.as_dict()) if json else print(result.text())
    elif json:
        terminal.print_json({**asdict(result), "folder": str(result.folder)})
    else:
        print(f"{result.folder}  {result.reason} at step {result.step:,} of {result.steps:,}")
        if result.reason != "finished":
            print("continue with --resume")


def starts_adopted(settings: list[str]) -> bool:
    """Whether training starts from a language model that others have pretrained."""
    from lantu.weights.arrays import read_config
    from lantu.weights.language_config import is_adopted

    named = [value for name, _, value in (each.partition("=") for each in settings) if name == "start"]
    if not named or not (Path(named[-1]) / "config.json").is_file():
        return False
    return is_adopted(read_config(named[-1]))


def named_settings(part: str, seed: int | None, tokenizer: Path | None, start: str | None) -> list[str]:
    """The options that stand for settings of a recipe, as ``key=value``.

    Raises:
        ModelError: a part is missing.
    """
    from lantu.recipes.identity import AFTER_DECODER
    from lantu.recipes.sources import BEGINNINGS, part_folder

    settings = [] if seed is None else [f"loop.seed={seed}"]
    if tokenizer:
        settings.append(f"tokenizer={part_folder(tokenizer, 'tokenizer')}")
    if start:
        kind = "decoder" if part in AFTER_DECODER else part
        fresh = part == "tokenizer" and start in BEGINNINGS
        settings.append(f"start={start if fresh else part_folder(start, kind)}")
    return settings


def assemble(
    out: Annotated[Path, typer.Option("--out", "-o", help="The model directory.", metavar="DIR")],
    tokenizer: Run = None,
    language: Run = None,
    decoder: Run = None,
    rival: Annotated[
        Path | None,
        typer.Option(help="Instead of the three: a run of lantu train rival.", metavar="DIR", show_default=False),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the model (default: the folder's).", show_default=False)] = "",
    licence: Annotated[str, typer.Option("--license", help="Of the weights.", show_default=False)] = "",
    card: Annotated[Path | None, typer.Option(help="Markdown, for README.md.", metavar="FILE")] = None,
    data: Annotated[
        Path | None, typer.Option(help="The training data (default: that of its runs).", metavar="DIR")
    ] = None,
    control: Annotated[
        Path | None, typer.Option(help="A run of lantu train control.", metavar="DIR", show_default=False)
    ] = None,
    upscaler: Annotated[
        Path | None, typer.Option(help="A run of lantu train upscaler.", metavar="DIR", show_default=False)
    ] = None,
    refiner: Annotated[
        Path | None,
        typer.Option(help="A decoder of lantu adopt decoder, for a second pass.", metavar="DIR", show_default=False),
    ] = None,
    memory: Annotated[
        Path | None,
        typer.Option(
            help="Data whose pictures are found first, see --shots of draw.", metavar="DIR", show_default=False
        ),
    ] = None,
    settings: Overrides = None,
    tune: Annotated[
        bool, typer.Option(help="Choose the settings that are not given, by drawing prompts of the data.")
    ] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, help="For the choice: fewer prompts, then fewer settings.", metavar="M")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice.", metavar="N")] = 0,
    json: Json = False,
) -> None:
    """Put trained parts together as a model that draws, and choose the settings that it draws best with."""
    terminal.show_warnings()
    from lantu.recipes.assemble import assemble, usual
    from lantu.recipes.sources import part_folder
    from lantu.recipes.states import assemble_better, states_of
    from lantu.recipes.tuning import USUAL, data_of
    from lantu.recipes.tuning import tune as choose
    from lantu.tokens.words import WORDS

    if rival is not None:
        if tokenizer or language or decoder or control or upscaler or refiner or memory:
            raise LantuError("a rival is a whole model", "leave out the parts, or --rival")
        join_rival(rival, out, json, name=name, licence=licence, card=card, data=data, draw=parse_overrides(settings))
        return
    if not (tokenizer and language and decoder):
        raise LantuError("a model is made of three parts", "name them: --tokenizer, --language and --decoder")
    fixed = {**usual(part_folder(decoder, "decoder")), **parse_overrides(settings)}
    data = data or data_of(language, tokenizer, decoder)

    def build(state: Path) -> "LantuFolder":
        more = {"control": control, "upscaler": upscaler, "refiner": refiner, "memory": memory}
        return assemble(tokenizer, state, decoder, out, name, licence, card, data, {**USUAL, **fixed}, **more)

    if tune and data is not None:
        states = states_of(language)
        each = minutes and minutes / len(states)
        with terminal.progress("trying settings", shown=not json) as advance:

            def chosen(model: "LantuFolder", given: Mapping[str, Any]) -> "Choice":
                return choose(model, data, given, seed, advance, terminal.say, each, len(states) > 1)

            folder, choice = assemble_better(build, states, chosen, fixed)
        folder = type(folder)(folder.path)  # read anew
    else:
        folder, choice = build(Path(language)), None
    if data is not None and not (folder.path / WORDS).is_file():
        terminal.say(f"lantu: the captions in {data} can't be read: the model won't point out unknown words of prompts")
    if json:
        terminal.print_json({**folder.describe(), "tuned": asdict(choice) if choice and choice.made else None})
        return
    print(f'{folder.path}  draw with: lantu draw --model {folder.path} "a caption of your data"')
    if choice and choice.made:
        print(choice.line())
        terminal.print_table(choice.rows())
    elif tune and data is None:
        defaults = ", ".join(f"{name} {value}" for name, value in folder.index["draw"].items())
        terminal.say(f"it draws with {defaults}: tune this with --data DIR, or set it, e.g. --set guidance=2")


def join_rival(run: Path, out: Path, json: bool, **options: Any) -> None:
    """``assemble --rival``."""
    from lantu.recipes.rivals.assembling import assemble_rival
    from lantu.recipes.tuning import data_of

    options["data"] = options["data"] or data_of(run)
    folder = assemble_rival(run, out, **options)
    if json:
        terminal.print_json({**folder.describe(), "tuned": None})
    else:
        print(f'{folder.path}  draw with: lantu draw --model {folder.path} "a caption of your data"')


def evaluate(
    model: ModelName = None,
    data: Annotated[Path | None, typer.Option(help="A data folder (default: the model's own).", metavar="DIR")] = None,
    suites: Annotated[str | None, typer.Option(help="Names, with commas (default: all).")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Trials of each suite (default: 64), or prompts (all).", metavar="N")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="Instead, draw these prompts for another scorer.", metavar="FILE", show_default=False),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Of the drawings: geneval, dpg or parti (default: by FILE).", metavar="NAME")
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", min=1, max=64, help="Drawings of each prompt (default: 4).", metavar="N")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Of the drawings, in pixels.", metavar="WxH")] = None,
    settings: Overrides = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.05, help="Of your own pictures: take only as many as there is time for.", metavar="M"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Other trials.", metavar="N")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the scores, the drawings and a contact sheet.", metavar="DIR"),
    ] = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Score a model: its drawings, captions and reconstructions, beside the best possible scores."""
    chosen = [name.strip() for name in suites.split(",")] if suites else None
    how = parse_overrides(settings)
    if prompts:
        if suites or data:
            raise LantuError("--prompts draws prompts of a file", "leave out --suites and --data")
        if minutes:
            raise LantuError("--minutes is of your own pictures", "leave it out; --limit draws fewer prompts")
        options: dict[str, Any] = {"layout": layout, "count": count or 4, "seed": seed, "limit": limit}
        draw_suite(model, prompts, out, device, backend, json, size=parse_size(size), **options, **how)
        return
    if layout or size or count:
        raise LantuError("--layout, --size and -n are of drawings of prompts", "give their file: --prompts FILE")
    if out:
        check_results(out, ("scores.json", "scores.txt", "sheet.png"), {"score", "n"})
    from lantu import recipes
    from lantu.evaluation.results import shown
    from lantu.pipeline import Model

    with terminal.progress("asking", shown=not json) as advance:
        opened = Model.load(model, device, backend)
        scores = recipes.evaluate(opened, data, chosen, limit or 64, seed, out, advance, minutes, **how)
    for note in next(iter(scores.values()), {}).get("notes", ()):
        terminal.say(note)
    if json:
        terminal.print_json(scores)
        return
    keys = ("score", "round_trip", "ceiling")
    rows = [
        (
            name,
            *(shown(suite[key], suite.get("unit", "share")) for key in keys),
            f"{suite['of_round_trip']:.1%}",
            str(suite["n"]),
        )
        for name, suite in scores.items()
    ]
    terminal.print_table([("suite", "score", "round trip", "ceiling", "of round trip", "n"), *rows])
    for name, suite in scores.items():
        if "split" in suite:  # of a user's own pictures, where the score alone says little
            details = {key: value for key, value in suite["details"]["score"].items() if key != "score"}
            print(f"{name}: {', '.join(f'{key} {value:.3g}' for key, value in details.items())}")
    if out:
        print(out)
