"""draw, detokenize, caption, tokenize."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lantu.commands import terminal
from lantu.commands.opening import drawable, opened, say
from lantu.commands.options import (
    Backend,
    Device,
    Examples,
    Fit,
    Json,
    ModelName,
    Output,
    Sampler,
    Seed,
    Steps,
    as_name,
    as_text,
    numbered,
    parse_size,
    renamed_to,
    unused,
)
from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import DataError, ImageError, LantuError, PromptError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from lantu.pipeline import Control, Example, Model
    from lantu.tasks.preview import Step
    from lantu.types import Picture


TOGETHER = 8  # pictures that are drawn at once, and written before the next


@dataclass(frozen=True)
class Wish:
    """What a user wants to see.

    Attributes:
        prompt: words to draw.
        grids: codes to render instead, (h, w) each.
        seed: None for any.
        size: width and height in pixels; None for the model's own.
        dials: those that were given, see ``SamplingParams``.
        control: a picture to follow.
        examples: captions and pictures that the model sees first.
        faithful: the size is that of an older drawing.
    """

    prompt: str | None
    grids: "list[np.ndarray] | None"
    seed: int | None
    size: tuple[int, int] | None
    dials: dict[str, Any]
    control: "Control | None" = None
    examples: "Sequence[Example]" = ()
    faithful: bool = False

    def like(self, former: "Picture", path: Path, artist: "Model") -> "Wish":
        """As a PNG was drawn, in all that was not asked for otherwise; a line says what can't be the same.

        Args:
            former: the PNG by its own account, see ``metadata.read_picture``.

        Raises:
            ImageError: there are no words, and its codes, which are not believed, can't be read from its pixels.
        """
        from lantu.tasks import reader

        ours = former.model == artist.digest
        claim = reader.claim(path, former.image, str(path), artist)
        # Another model's cells may be of another size.
        size = artist.size_of(former.codes.shape) if ours else drawable(former.image.size, artist.patch)
        wish = replace(
            self,
            seed=former.seed if self.seed is None else self.seed,
            size=self.size or size,
            dials=SamplingParams.read(former.settings).as_dict() | self.dials,
            faithful=self.size is None,
        )
        given = self.prompt is not None or self.grids is not None
        if given or former.prompt:
            if not ours:
                say(f"{path} was drawn by another model; expect another picture")
            elif claim.note:
                say(f"{path} was changed since it was drawn; this draws what it was")
            return wish if given else replace(wish, prompt=former.prompt)
        # A picture without a prompt was rendered from codes.
        seen = reader.settle(claim, artist)
        if seen.note:
            say(seen.note)
        return replace(wish, grids=[seen.drawing.codes if seen.drawing else artist.tokenize(former.image)])


def draw(
    prompt: Annotated[
        str | None, typer.Argument(help="What to draw, in English or Chinese.", show_default=False, callback=as_text)
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many pictures.", metavar="N")] = 1,
    output: Output = None,
    steps: Steps = None,
    guidance: Annotated[
        float | None, typer.Option(help="How closely to follow the prompt; 1 is off.", metavar="G")
    ] = None,
    contrast: Annotated[
        int | None, typer.Option(help="Contrastive decoding in the place of guidance; 0: off.", metavar="K")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0: the likeliest picture.", metavar="T")] = None,
    top_k: Annotated[int | None, typer.Option(help="Codes to choose among; 0: all.", metavar="K")] = None,
    top_p: Annotated[float | None, typer.Option(help="Share of probability to choose among.", metavar="P")] = None,
    num_draft_tokens: Annotated[
        int | None, typer.Option(help="Codes to guess after the next one in each pass.", metavar="N")
    ] = None,
    min_accepted: Annotated[
        int | None,
        typer.Option(help="Codes that each pass accepts, right or wrong; above 1 is not exact.", metavar="N"),
    ] = None,
    ahead: Annotated[int | None, typer.Option(hidden=True, callback=renamed_to("--num-draft-tokens"))] = None,
    least: Annotated[int | None, typer.Option(hidden=True, callback=renamed_to("--min-accepted"))] = None,
    sampler: Sampler = None,
    size: Annotated[str | None, typer.Option(help="In pixels, e.g. 192x192.", metavar="WxH")] = None,
    control: Annotated[
        Path | None, typer.Option(help="A picture to follow, see --control-kind.", metavar="FILE", show_default=False)
    ] = None,
    control_kind: Annotated[
        Literal["edges", "layout", "colour", "photo"],
        typer.Option(help="White lines; white places; blocks of colour; or a photo, whose edges are taken."),
    ] = "edges",
    control_scale: Annotated[float, typer.Option(help="0: not at all.", min=0, max=10, metavar="S")] = 1.0,
    example: Examples = None,
    memory: Annotated[
        Path | None, typer.Option(help="Data whose pictures may serve as examples.", metavar="DIR", show_default=False)
    ] = None,
    shots: Annotated[int, typer.Option(help="Pictures to find in --memory.", min=1, max=16, metavar="N")] = 2,
    fit: Fit = False,
    tokens_out: Annotated[Path | None, typer.Option(help="Also write the codes, as JSON.", metavar="FILE")] = None,
    from_tokens: Annotated[Path | None, typer.Option(help="Render these codes; draft nothing.", metavar="FILE")] = None,
    like: Annotated[Path | None, typer.Option(help="Draw as this PNG was drawn.", metavar="PNG")] = None,
    preview: Annotated[
        bool | None, typer.Option(help="Show it here as it comes (default: on a terminal).", show_default=False)
    ] = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    backend: Backend = "native",
    json: Json = False,
) -> None:
    """Draw a picture from words."""
    from lantu.images import metadata

    if output:
        metadata.check_output(output)
    if from_tokens and (prompt is not None or size or count > 1):
        raise LantuError("--from-tokens takes codes in place of words", "leave out the prompt, --size and -n")
    if prompt is None and not from_tokens and not like:
        raise PromptError("nothing to draw", 'say what, e.g. lantu draw "a cat"')
    dials = {"steps": steps, "guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    dials |= {"contrast": contrast, "sampler": sampler}
    dials |= {"num_draft_tokens": ahead if num_draft_tokens is None else num_draft_tokens}
    dials |= {"min_accepted": least if min_accepted is None else min_accepted}
    dials = {name: value for name, value in dials.items() if value is not None}
    wish = Wish(prompt, read_grids(from_tokens) if from_tokens else None, seed, parse_size(size), dials)
    former = metadata.read_picture(like) if like else None
    artist = load(model, device, backend)
    if control:
        wish = replace(wish, control=steering(control, control_kind, control_scale, artist.size if fit else None))
    if example or memory:
        wish = replace(wish, examples=examples(artist, example or [], fit, memory, prompt or "", shots))
    if former and like:
        wish = wish.like(former, like, artist)
    make(artist, wish, count, output, tokens_out, preview, json)


def detokenize(
    tokens: Annotated[Path, typer.Argument(metavar="TOKENS", help="A tokens file; - for stdin.", show_default=False)],
    output: Output = None,
    steps: Steps = None,
    sampler: Sampler = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Turn codes into pictures."""
    from lantu.images import metadata

    output = output or unused(Path("tokens.png" if str(tokens) == "-" else f"{tokens.stem}.png"))
    metadata.check_output(output)
    wish = Wish(None, read_grids(tokens), seed, None, {"steps": steps, "sampler": sampler})
    make(load(model, device), wish, 1, output, None, None, json)


def make(
    artist: "Model",
    wish: Wish,
    count: int,
    output: Path | None,
    tokens_out: Path | None,
    preview: bool | None,
    as_json: bool,
) -> None:
    """Draw or render what is wished, write each picture as soon as it is there, and tell about it."""
    from lantu.images import metadata

    seed = choose_seed(wish.seed)
    prompt, size, count = wish.prompt or "", wish.size or artist.size, len(wish.grids) if wish.grids else count
    if wish.grids is None and (warning := warned(artist, size, wish.faithful)):
        terminal.say(f"lantu: {warning}")
    paths = numbered(output or Path(as_name(f"{slug(prompt)}-{seed}.png")), count)
    pictures: list[Picture] = []
    plain = wish.grids is None and wish.control is None and not wish.examples
    watched = preview is not False and not as_json and plain and terminal.shows_pictures()
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(terminal.live_picture()) if watched else None
        advance = stack.enter_context(terminal.progress("drawing", shown=not (as_json or watched)))
        together = 1 if show or wish.grids is not None else TOGETHER
        for first in range(0, count, together):
            seeds = [derive_seed(seed, index) for index in range(first, min(first + together, count))]
            if wish.grids is not None:
                drawn = [artist.render(wish.grids[first], seed=seeds[0], **wish.dials)]
            elif show:
                drawn = [watch(artist.stream(prompt, seed=seeds[0], size=size, **wish.dials), show)]
            else:

                def step(done: int, total: int, before: int = first, here: int = len(seeds)) -> None:
                    each = total // here  # codes of a picture
                    advance(before * each + done, count * each)

                before = [wish.examples] * len(seeds)
                drawn = artist.draw_all(
                    *([prompt] * len(seeds), seeds),
                    **{"size": size, "progress": step, "control": wish.control, "examples": before},
                    **wish.dials,
                )
            for picture, path in zip(drawn, paths[first:], strict=False):
                metadata.save_picture(picture, path)
            pictures += drawn
    if tokens_out:
        metadata.write_tokens(map(metadata.describe, pictures), tokens_out)
    terminal.warn(artist.warnings(prompt) if wish.grids is None else [])
    tell(pictures, paths, seed, artist.name, wish.grids is None, preview, as_json)


def warned(artist: "Model", size: tuple[int, int], faithful: bool) -> str:
    """What to expect of drawings of a size, if they will not be as usual.

    Args:
        faithful: the size is that of an older drawing, which is drawn again whatever comes.

    Raises:
        ImageError: nothing sensible would come.
    """
    try:
        return artist.check_size(size)
    except ImageError as problem:
        artist.grid_of(size)
        if not faithful:
            raise
        return problem.message


def watch(steps: "Iterator[Step]", show: "Callable[[Image], None]") -> "Picture":
    """Show a drawing as it comes; gives the finished picture."""
    picture = None
    for step in steps:
        show(step.preview)
        picture = step.picture
    assert picture is not None
    return picture


def tell(
    pictures: "list[Picture]",
    paths: list[Path],
    seed: int,
    model: str,
    drafted: bool,
    preview: bool | None,
    as_json: bool,
) -> None:
    """What was drawn, where it is and how long it took."""
    if as_json:
        files = [str(path) for path in paths]
        tokens = sum(picture.codes.size for picture in pictures) if drafted else 0
        timings = {name: round(sum(p.timings_ms[name] for p in pictures), 1) for name in ("plan", "render", "total")}
        told = {"files": files, "seed": seed, "model": model, "tokens": tokens, "timings_ms": timings}
        terminal.print_json(told | {"unknown_words": unknown(pictures[0]) if drafted and pictures else []})
        return
    for picture, path in zip(pictures, paths, strict=True):
        if preview or (preview is None and terminal.shows_pictures()):
            terminal.show_picture(picture.image)
        print(f"{path}  seed {picture.seed}  {picture.timings_ms['total'] / 1000:.1f} s")


def unknown(picture: "Picture") -> list[dict[str, Any]]:
    """The words of a picture's prompt that the model was not taught, for JSON."""
    return [{"word": one.word, "nearest": list(one.nearest)} for one in picture.unknown_words]


def caption(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", show_default=False)],
    lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of the caption.")] = "en",
    fit: Fit = False,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest words.", metavar="T")] = 0.0,
    example: Examples = None,
    seed: Seed = None,
    model: ModelName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Say what is on a picture."""
    from lantu.tasks import reader

    viewer = load(model, device)
    shown = reader.read(image, str(image), viewer, say)
    if shown.note:
        say(shown.note)
    seen = examples(viewer, example or [], fit)
    how: dict[str, Any] = {"fit": fit, "seed": choose_seed(seed), "temperature": temperature, "examples": seen}
    text = viewer.caption(shown.drawing or shown.image, lang, **how)
    if json:
        terminal.print_json({"caption": text, "language": lang, "file": str(image), "model": viewer.name})
    else:
        print(text)


def tokenize(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", show_default=False)],
    output: Output = None,
    fit: Fit = False,
    model: ModelName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Turn pictures into codes: JSON on stdout, or in a file."""
    from lantu.images import metadata

    pictures = [opened(image) for image in images]
    reader = load(model, device)
    told = [
        {"file": str(image), "model": reader.digest, "codes": reader.tokenize(picture, fit=fit).tolist()}
        for image, picture in zip(images, pictures, strict=True)
    ]
    if output is None:
        print(terminal.printable_json(metadata.tokens_text(told)), end="")
        return
    metadata.write_tokens(told, output)
    if json:
        terminal.print_json({"files": [str(output)], "pictures": len(told), "model": reader.name})
    else:
        print(f"{output}  {len(told)} picture{'s' if len(told) > 1 else ''}")


def examples(
    artist: "Model", told: list[str], fit: bool, memory: Path | None = None, prompt: str = "", shots: int = 0
) -> "list[Example]":
    """What the model is to see first: pictures found by the prompt, then those that are named.

    Args:
        told: FILE=CAPTION of each.
        fit: scale and crop them.
        memory: data to find others in.
        shots: as many of these.

    Raises:
        PromptError: one of them lacks its caption.
    """
    from PIL import Image

    from lantu import images

    found: list[Example] = []
    if memory:
        from lantu.data.retrieval import Memory
        from lantu.data.shards import Shards

        shards = Shards(memory, "train")
        near = Memory.of(memory).search(prompt, shots)
        found += [(text, images.fit(Image.fromarray(shards.image(at)), *artist.size)) for at, text in near]
    for each in told:
        path, _, caption = each.partition("=")
        if not caption.strip():
            raise PromptError(f"the example {each} has no caption", "write FILE=CAPTION")
        picture = opened(Path(path))
        found.append((caption, images.fit(picture, *artist.size) if fit else picture))
    return found


def steering(path: Path, kind: str, scale: float, size: tuple[int, int] | None) -> "Control":
    """A picture of control from a file; a photo's edges are taken first.

    Args:
        size: to scale and crop it to.
    """
    import numpy as np
    from PIL import Image

    from lantu import images
    from lantu.models.lantu import controls
    from lantu.pipeline import Control

    picture = opened(path)
    if size:
        picture = images.fit(picture, *size)
    if kind == "photo":
        return Control(Image.fromarray(controls.lit(controls.edges(np.asarray(picture)))), "edges", scale)
    return Control(picture, kind, scale)


def read_grids(path: Path) -> "list[np.ndarray]":
    """The codes of a tokens file, or of stdin.

    Raises:
        DataError: it is missing or no tokens file.
    """
    from lantu.images import metadata

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise DataError(f"can't read the tokens file {path}", "give a file that lantu tokenize wrote") from problem
    return [picture["codes"] for picture in metadata.read_tokens(text, str(path))]


def load(model: str | None, device: str, backend: str = "native") -> "Model":
    """The model; NumPy is imported here and not before."""
    from lantu import kernels
    from lantu.pipeline import Model

    artist = Model.load(model, device, backend)
    if artist.device == "cpu" and (why := kernels.reason()) and "LANTU_KERNELS" not in os.environ:
        terminal.say(f"lantu: NumPy computes, several times slower than native code: {why}")
    return artist


def slug(text: str) -> str:
    """A file name's stem from any text: its letters and digits, of any language, 40 characters at most."""
    words = "".join(character if character.isalnum() else " " for character in text).split()
    return "-".join(words)[:40].rstrip("-") or "picture"
