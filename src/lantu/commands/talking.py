"""The commands ``edit`` and ``chat``."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lantu.commands import terminal
from lantu.commands.drawing import unknown
from lantu.commands.opening import load, opened, say
from lantu.commands.options import (
    Backend,
    Device,
    Fit,
    Json,
    ModelName,
    Output,
    Overrides,
    Seed,
    Steps,
    as_text,
    parse_overrides,
    unused,
)
from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import ImageError, LantuError, PromptError

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.pipeline import Model
    from lantu.types import Picture

PUNCTUATION = "?!.,:;？！。，：；"  # that may follow a name
# A picture in a typed line: @cat.png, @my\ cat.png or @"my cat.png".
PICTURE = re.compile(rf'(?<!\S)@(?:"(?P<quoted>[^"]+)"[{PUNCTUATION}]*|(?P<plain>(?:\\\s|\S)+))')
TURNS = 6  # of the conversation that the model reads, three of each side


def edit(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", show_default=False)],
    prompt: Annotated[
        str, typer.Argument(help="What to draw in the box or mask; without either, what to change.", callback=as_text)
    ] = "",
    box: Annotated[
        str | None, typer.Option(help="In pixels: x0,y0,x1,y1.", metavar="X0,Y0,X1,Y1", show_default=False)
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="As large as the picture; transparent or white areas are redrawn.", metavar="FILE"),
    ] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(
            help="Pictures before and after such a change: a.png=b.png. May be repeated.", metavar="BEFORE=AFTER"
        ),
    ] = None,
    fit: Fit = False,
    output: Output = None,
    steps: Steps = None,
    settings: Overrides = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Redraw a part of a picture, or change it by an instruction ("replace the dog by a car", 把背景换成蓝色)."""
    from lantu.images import metadata

    output = output or unused(Path(f"{image.stem}-edited.png"))
    metadata.check_output(output)
    place = parse_box(box) if box else None
    params = parse_overrides(settings) | ({} if steps is None else {"steps": steps})
    artist = load(model, device, backend, "talking" if box is None and mask is None else "filling")
    own_seed = choose_seed(seed)
    mask_image = opened(mask, keep_alpha=True) if mask else None
    plans: list[str] = []
    changes = [pair(each, artist, fit) for each in example or []]
    options: dict[str, Any] = {"box": place, "mask": mask_image, "examples": changes, "seed": own_seed, **params}
    picture = artist.edit(read_picture(image, artist, fit), prompt, on_plan=plans.append, **options)
    metadata.save_picture(picture, output)
    terminal.warn(artist.parts.layout.warnings(prompt, draws=bool(box or mask)))
    if json:
        timings = {name: round(value, 1) for name, value in picture.timings_ms.items()}
        summary = {"files": [str(output)], "seed": own_seed, "model": artist.name, "timings_ms": timings}
        terminal.print_json(summary | plan_entry(plans) | {"unknown_words": unknown(picture)})
        return
    show_plan(plans)
    if terminal.shows_pictures():
        terminal.show_picture(picture.image)
    print(f"{output}  seed {own_seed}  {picture.timings_ms['total'] / 1000:.1f} s")


def chat(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for pictures: chat-1.png, chat-2.png, …", metavar="DIR")
    ] = Path("."),
    settings: Overrides = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Chat line by line; @cat.png or @"my cat.png" sends a picture, an empty line starts anew."""
    params, first_seed = parse_overrides(settings), choose_seed(seed)
    artist = load(model, device, backend, "talking")
    turns: list[dict[str, Any]] = []
    before: list[list[Any]] = []
    album = Album(output)
    summary = {"turns": turns, "seed": first_seed, "model": artist.name}
    for number, line in enumerate(lines(json)):
        if not line:
            before = []
            continue
        try:
            parts = read_line(line, artist)
            plans: list[str] = []
            options: dict[str, Any] = {"before": before[-TURNS:], "seed": derive_seed(first_seed, number), **params}
            reply = artist.chat(parts, on_plan=plans.append, **options)
        except LantuError as problem:
            if json:  # what was said before is kept
                terminal.print_json(summary)
                raise
            terminal.say(f"lantu: {problem}")
            continue
        before += [parts, reply]
        if pictures := [part for part in reply if not isinstance(part, str)]:
            terminal.warn(artist.parts.layout.warnings(pictures[0].prompt, draws=False))
        entries = [part if isinstance(part, str) else album.save(part) for part in reply]
        turns.append({"said": line, "reply": entries} | plan_entry(plans))
        if not json:
            show_plan(plans)
            show_reply(reply, entries)
    if json:
        terminal.print_json(summary)


class Album:
    """Saves a conversation's pictures as chat-1.png, chat-2.png, … and leaves files that are already there alone."""

    def __init__(self, folder: Path):
        self.folder, self.count = folder, 0

    def save(self, picture: "Picture") -> dict[str, Any]:
        """Write a picture; returns its entry in the JSON output."""
        from lantu.images import metadata

        self.count += 1
        while os.path.lexists(path := self.folder / f"chat-{self.count}.png"):
            self.count += 1
        metadata.save_picture(picture, path)
        return {"file": str(path), "unknown_words": unknown(picture)}


def plan_entry(plans: list[str]) -> dict[str, list[str]]:
    """The entry "plan" of the JSON output; empty if the model wrote no plan."""
    return {"plan": plan_steps(plans)} if plans else {}


def show_plan(plans: list[str]) -> None:
    """Print the plan on stderr: what is there → what is to be there."""
    if plans:
        terminal.say_dimmed(" → ".join(plan_steps(plans)))


def plan_steps(plans: list[str]) -> list[str]:
    """The steps of all plans."""
    from lantu.tokens.document import NEXT

    return [step.strip() for plan in plans for step in plan.split(NEXT)]


def show_reply(reply: "list[str | Picture]", entries: "list[str | dict[str, Any]]") -> None:
    """Print text as it is, pictures as file names and, on a terminal, as pictures."""
    for part, entry in zip(reply, entries, strict=True):
        if isinstance(part, str):
            print(part)
        elif isinstance(entry, dict):
            if terminal.shows_pictures():
                terminal.show_picture(part.image)
            print(entry["file"])
    if not reply:
        print("…")


def lines(quiet: bool) -> Iterator[str]:
    """Lines of stdin, with a prompt if it is a terminal."""
    interactive = not quiet and sys.stdin.isatty()
    while True:
        if interactive:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield as_text(line.strip()) or ""


def read_line(line: str, artist: "Model") -> "list[str | Picture | Image]":
    """Split a typed line into text and pictures: ``what is this? @cat.png``."""
    parts: list[str | Picture | Image] = []
    for found in PICTURE.finditer(line):
        path = named_path(found["quoted"] or re.sub(r"\\(\s)", r"\1", found["plain"]))
        parts.append(read_picture(path, artist, fit=True))
    words = PICTURE.sub(" ", line).split()
    return [*parts, *([" ".join(words)] if words else [])]


def named_path(name: str) -> Path:
    """The file of that name; without the punctuation after it if there is only such a file: ``cat.png?``."""
    bare = name.rstrip(PUNCTUATION)
    return Path(bare if os.path.isfile(bare) and not os.path.exists(name) else name)


def pair(text: str, artist: "Model", fit: bool) -> "tuple[Picture | Image, Picture | Image]":
    """ "a.png=b.png" → both pictures.

    Raises:
        PromptError: the text is not two names.
    """
    before, _, after = text.partition("=")
    if not before or not after:
        raise PromptError(f"the example {text} is not two pictures", "write BEFORE=AFTER, e.g. a.png=b.png")
    return read_picture(Path(before), artist, fit), read_picture(Path(after), artist, fit)


def read_picture(path: Path, artist: "Model", fit: bool) -> "Picture | Image":
    """Read a picture, with its codes if this model drew it; prints a note if the drawing was edited since.

    Args:
        fit: scale and crop any other picture to the model's size.

    Raises:
        ImageError: it can't be read, or is of another size.
    """
    from lantu import images
    from lantu.models.validation import as_drawn
    from lantu.tasks import reader

    source = reader.read(path, str(path), artist.parts, say)
    if source.drawing:
        return source.drawing
    picture = as_drawn(source.image, artist.parts.layout)
    if not fit and picture.size != artist.size:
        what = "{}x{} pixels, the model reads {}x{}".format(*picture.size, *artist.size)
        raise ImageError(f"the picture {path} has {what}", "scale it, or have it scaled and cropped with --fit")
    if source.note:
        say(source.note)
    return images.fit(picture, *artist.size)


def parse_box(text: str) -> tuple[float, float, float, float]:
    """ "64,0,128,128" → four numbers.

    Raises:
        LantuError: the text is not four numbers.
    """
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError as problem:
        raise LantuError(
            f"the box {text!r} can't be read", "write x0,y0,x1,y1 in pixels, e.g. 64,0,128,128"
        ) from problem
    return x0, y0, x1, y1
