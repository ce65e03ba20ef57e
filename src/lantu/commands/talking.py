"""edit, chat."""

import os
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
    Dials,
    Fit,
    Json,
    ModelName,
    Output,
    Seed,
    Steps,
    as_text,
    parse_dials,
    unused,
)
from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import ImageError, LantuError, PromptError

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.pipeline import Model
    from lantu.types import Picture

TURNS = 6  # that are remembered, three of either side


def edit(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", show_default=False)],
    prompt: Annotated[
        str, typer.Argument(help="What to draw there; without a place, what to change.", callback=as_text)
    ] = "",
    box: Annotated[
        str | None, typer.Option(help="In pixels: x0,y0,x1,y1.", metavar="X0,Y0,X1,Y1", show_default=False)
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="As large as the picture; transparent or white: anew.", metavar="FILE")
    ] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(help="Pictures before and after such a change: a.png=b.png.", metavar="BEFORE=AFTER"),
    ] = None,
    fit: Fit = False,
    output: Output = None,
    steps: Steps = None,
    dials: Dials = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Draw a part of a picture anew, or change it as told ("replace the dog by a car", 把背景换成蓝色)."""
    from lantu.images import metadata

    output = output or unused(Path(f"{image.stem}-edited.png"))
    metadata.check_output(output)
    place = parse_box(box) if box else None
    settings = parse_dials(dials) | ({"steps": steps} if steps else {})
    artist = load(model, device, backend)
    own = choose_seed(seed)
    marked = opened(mask, keep_alpha=True) if mask else None
    plans: list[str] = []
    shown = [pair(each, artist, fit) for each in example or []]
    how: dict[str, Any] = {"box": place, "mask": marked, "examples": shown, "seed": own, **settings}
    picture = artist.edit(known(image, artist, fit), prompt, on_plan=plans.append, **how)
    metadata.save_picture(picture, output)
    terminal.warn(artist.parts.layout.warnings(prompt, draws=bool(box or mask)))
    if json:
        timings = {name: round(value, 1) for name, value in picture.timings_ms.items()}
        told = {"files": [str(output)], "seed": own, "model": artist.name, "timings_ms": timings}
        terminal.print_json(told | noted(plans) | {"unknown_words": unknown(picture)})
        return
    show_plans(plans)
    if terminal.shows_pictures():
        terminal.show_picture(picture.image)
    print(f"{output}  seed {own}  {picture.timings_ms['total'] / 1000:.1f} s")


def chat(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Pictures are chat-1.png, chat-2.png, … here.", metavar="DIR")
    ] = Path("."),
    dials: Dials = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Talk in words and pictures, a line at a time; @picture.png shows one, an empty line forgets what was said."""
    from lantu.images import metadata

    settings, first = parse_dials(dials), choose_seed(seed)
    artist = load(model, device, backend)
    told: list[dict[str, Any]] = []
    before: list[list[Any]] = []
    drawn = 0
    for number, line in enumerate(lines(json)):
        if not line:
            before = []
            continue
        try:
            parts = read_line(line, artist)
            plans: list[str] = []
            how: dict[str, Any] = {"before": before[-TURNS:], "seed": derive_seed(first, number), **settings}
            reply = artist.chat(parts, on_plan=plans.append, **how)
        except LantuError as problem:
            if json:
                raise
            terminal.say(f"lantu: {problem}")
            continue
        before += [parts, reply]
        shown: list[str | dict[str, Any]] = []
        if pictures := [part for part in reply if not isinstance(part, str)]:
            terminal.warn(artist.parts.layout.warnings(pictures[0].prompt, draws=False))
        for part in reply:
            if isinstance(part, str):
                shown.append(part)
                continue
            drawn += 1
            while os.path.lexists(path := output / f"chat-{drawn}.png"):
                drawn += 1  # an earlier talk's
            metadata.save_picture(part, path)
            shown.append({"file": str(path), "unknown_words": unknown(part)})
        told.append({"said": line, "reply": shown} | noted(plans))
        if not json:
            show_plans(plans)
            answer(reply, shown)
    if json:
        terminal.print_json({"turns": told, "seed": first, "model": artist.name})


def noted(plans: list[str]) -> dict[str, list[str]]:
    """What the model noted down before it answered, for JSON; nothing if it did not."""
    return {"plan": steps(plans)} if plans else {}


def show_plans(plans: list[str]) -> None:
    """The same for a person: what is there → what is to be there."""
    if plans:
        terminal.say_dimmed(" → ".join(steps(plans)))


def steps(plans: list[str]) -> list[str]:
    from lantu.tokens.document import NEXT

    return [step.strip() for plan in plans for step in plan.split(NEXT)]


def answer(reply: "list[str | Picture]", shown: "list[str | dict[str, Any]]") -> None:
    """Words as they are; pictures as a file's name, and on a terminal as themselves."""
    for part, told in zip(reply, shown, strict=True):
        if isinstance(part, str):
            print(part)
        elif isinstance(told, dict):
            if terminal.shows_pictures():
                terminal.show_picture(part.image)
            print(told["file"])
    if not reply:
        print("…")


def lines(quiet: bool) -> Iterator[str]:
    """What is typed, line by line, with a prompt where a person types."""
    asked = not quiet and sys.stdin.isatty()
    while True:
        if asked:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line.strip()


def read_line(line: str, artist: "Model") -> "list[str | Picture | Image]":
    """A typed line as words and pictures: ``what is this? @cat.png``."""
    parts: list[str | Picture | Image] = []
    words = []
    for piece in line.split():
        if piece.startswith("@") and len(piece) > 1:
            parts.append(known(Path(piece[1:]), artist, fit=True))
        else:
            words.append(piece)
    return [*parts, *([" ".join(words)] if words else [])]


def pair(text: str, artist: "Model", fit: bool) -> "tuple[Picture | Image, Picture | Image]":
    """ "a.png=b.png" → both pictures.

    Raises:
        PromptError: there is only one.
    """
    before, _, after = text.partition("=")
    if not before or not after:
        raise PromptError(f"the example {text} is not two pictures", "write BEFORE=AFTER, e.g. a.png=b.png")
    return known(Path(before), artist, fit), known(Path(after), artist, fit)


def known(path: Path, artist: "Model", fit: bool) -> "Picture | Image":
    """A picture, with its codes if this model drew it; a line says where a drawing was changed since.

    Args:
        fit: scale and crop any other to the size that the model reads.

    Raises:
        ImageError: it can't be read, or is of another size.
    """
    from lantu import images
    from lantu.tasks import reader

    seen = reader.read(path, str(path), artist.parts, say)
    if seen.drawing:
        return seen.drawing
    if not fit and seen.image.size != artist.size:
        what = "{}x{} pixels, the model reads {}x{}".format(*seen.image.size, *artist.size)
        raise ImageError(f"the picture {path} has {what}", "scale it, or have it scaled and cropped with --fit")
    if seen.note:
        say(seen.note)
    return images.fit(seen.image, *artist.size)


def parse_box(text: str) -> tuple[float, float, float, float]:
    """ "64,0,128,128" → four numbers.

    Raises:
        LantuError: it is no such text.
    """
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError as problem:
        raise LantuError(
            f"the box {text!r} can't be read", "write x0,y0,x1,y1 in pixels, e.g. 64,0,128,128"
        ) from problem
    return x0, y0, x1, y1
