"""What ``lantu draw`` and ``lantu detokenize`` share: draw or render pictures, save them, report them."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.commands import terminal
from lantu.commands.opening import drawable, say
from lantu.commands.options import alternatives, as_name, given, numbered
from lantu.engine.sampling_params import DENOISING, SamplingParams
from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import ImageError, LantuError

if TYPE_CHECKING:
    import numpy as np
    import typer
    from PIL.Image import Image

    from lantu.models.control import Control
    from lantu.models.lantu.layout import Example
    from lantu.pipeline import Model
    from lantu.types import Picture, Step


BATCH = 8  # pictures that are drawn together, and saved before the next batch


@dataclass(frozen=True)
class Order:
    """What the user asked for.

    Attributes:
        prompt: the text to draw.
        grids: codes to render instead, (h, w) each.
        seed: None for a random one.
        size: width and height in pixels; None for the model's own.
        overrides: the sampling parameters that were given, see ``SamplingParams``.
        control: a control picture that the drawings follow.
        examples: captions and pictures that the model reads first.
        faithful: the size comes from an older drawing, which is repeated even at a size that the model draws badly.
        original: a drawing by this model that is repeated without any change, and its file.
    """

    prompt: str | None
    grids: "list[np.ndarray] | None"
    seed: int | None
    size: tuple[int, int] | None
    overrides: dict[str, Any]
    control: "Control | None" = None
    examples: "Sequence[Example]" = ()
    faithful: bool = False
    original: "tuple[Path, Picture] | None" = None

    def like(self, former: "Picture", path: Path, model: "Model") -> "Order":
        """This order, completed by how a PNG was drawn; prints a note if the picture can't come out the same.

        Args:
            former: what the PNG's metadata say, see ``metadata.read_picture``.

        Raises:
            ImageError: there is no prompt, the codes are not trusted, and the pixels can't be tokenized.
        """
        from lantu.tasks import reader

        ours = former.model == model.digest
        claim = reader.claim(path, former.image, str(path), model.parts)
        # Another model's codes may stand for cells of another size.
        size = (
            model.parts.layout.size_of(former.codes.shape[:2])
            if ours
            else drawable(former.image.size, model.parts.layout)
        )
        unused = () if ours else model.folder.unused_params  # of another family's decoder
        settings = SamplingParams.read(former.settings).as_dict()
        settings = {name: value for name, value in settings.items() if name not in unused}
        order = replace(
            self,
            seed=former.seed if self.seed is None else self.seed,
            size=self.size or size,
            overrides=settings | self.overrides,
            faithful=self.size is None,
        )
        has_content = self.prompt is not None or self.grids is not None
        changed = has_content or self.overrides or self.size or self.seed is not None
        if ours and not changed:
            order = replace(order, original=(path, former))
        if has_content or former.prompt:
            if not ours:
                say(f"{path} was drawn by another model; expect a different picture")
            elif claim.note:
                say(f"{path} was changed since it was drawn; this repeats the original drawing")
            return order if has_content else replace(order, prompt=former.prompt)
        # A picture without a prompt was rendered from codes.
        source = reader.settle(claim, model.parts)
        if source.note:
            say(source.note)
        return replace(order, grids=[source.drawing.codes if source.drawing else model.tokenize(former.image)])


def check_rendered(given: Mapping[str, Any], params: Iterable[str]) -> None:
    """Refuse what says nothing to a decoder, which renders codes that are there.

    Args:
        given: option → its value.
        params: names of sampling parameters.

    Raises:
        LantuError: there is such an option.
    """
    unused = [option for option, value in given.items() if value]
    drafting = [name for name in params if name not in DENOISING]
    unused += ["--codes" if name == "num_codes" else f"--{name.replace('_', '-')}" for name in drafting]
    if unused:
        raise LantuError("--from-tokens takes codes in place of words", f"leave out {', '.join(unused)}")


def check_heard(context: "typer.Context", pictures: bool, control: bool) -> None:
    """Refuse options of ``draw`` that change nothing without another one.

    Args:
        pictures: whether there are any to fit.
        control: whether there is a picture to follow.

    Raises:
        LantuError: there is such an option.
    """
    if bulk := given(context, "per_shard", "together"):
        raise LantuError(f"{bulk[0]} is for a file of prompts", "leave it out, or add --prompts FILE -o DIR")
    if not control and (steering := given(context, "control_kind", "control_scale")):
        raise LantuError(f"{steering[0]} is for a picture to follow", "leave it out, or add --control FILE")
    if given(context, "fit") and not pictures:
        raise LantuError("--fit has no picture to scale and crop", "it is for --control and --example; leave it out")


def make(
    model: "Model",
    order: Order,
    count: int,
    output: Path | None,
    tokens_out: Path | None,
    preview: bool | None,
    as_json: bool,
) -> None:
    """Draw or render an order, save each batch as soon as it is finished, and report the pictures."""
    from lantu.images import metadata

    seed = choose_seed(order.seed)
    prompt, size, count = order.prompt or "", order.size or model.size, len(order.grids) if order.grids else count
    warning = size_warning(model, size, order.faithful) if order.grids is None else ""
    named = numbered(output or Path(as_name(f"{slug(prompt)}-{seed}.png")), count)
    pictures: list[Picture] = []
    paths: list[Path] = []
    plain = order.grids is None and order.control is None and not order.examples
    watched = preview is not False and not as_json and plain and terminal.shows_pictures()
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(terminal.live_picture()) if watched else None
        advance = stack.enter_context(terminal.progress("drawing", shown=not (as_json or watched)))
        together = 1 if show or order.grids is not None else BATCH
        for first in range(0, count, together):
            seeds = [derive_seed(seed, index) for index in range(first, min(first + together, count))]
            if order.grids is not None:
                how = {name: value for name, value in order.overrides.items() if name in DENOISING}
                drawn = [model.render(order.grids[first], seed=seeds[0], **how)]
            elif show:
                drawn = [watch(model.stream(prompt, seed=seeds[0], size=size, **order.overrides), show)]
            else:
                drawn = draw_batch(model, order, prompt, seeds, size, part_of(advance, first, len(seeds), count))
            for picture, path in zip(drawn, named[first:], strict=False):
                paths.append(path if output else own_name(picture, path))
                metadata.save_picture(picture, paths[-1])
            pictures += drawn
            if warning and not first:  # a refusal is one line, so it comes before what only warns
                terminal.say(f"lantu: {warning}")
    if tokens_out:
        metadata.write_tokens(map(metadata.describe, pictures), tokens_out)
    terminal.warn(model.parts.layout.warnings(prompt) if order.grids is None else [])
    if order.original and plain:
        say_if_different(pictures[0], *order.original)
    report(pictures, paths, seed, model.name, order.grids is None, preview, as_json)


def own_name(picture: "Picture", path: Path) -> Path:
    """The first alternative of a default name that is free, or holds this very picture, byte for byte."""
    from lantu.images import metadata

    content = metadata.png_bytes(picture) if os.path.lexists(path) else b""

    def is_own(place: Path) -> bool:
        try:
            return place.read_bytes() == content
        except OSError:
            return False

    return next(each for each in alternatives(path) if not os.path.lexists(each) or is_own(each))


def say_if_different(picture: "Picture", path: Path, former: "Picture") -> None:
    """Print a note if a repeated drawing has other codes than the one in the file ``path``."""
    import numpy as np

    if not np.array_equal(picture.codes, former.codes):
        how = "it was edited, drawn in a chat, with a control or examples, or on another backend"
        say(f"{path} can't be drawn again from its prompt and seed, this is another picture: {how}")


def draw_batch(
    model: "Model", order: Order, prompt: str, seeds: list[int], size: tuple[int, int], advance: terminal.Advance
) -> "list[Picture]":
    """Draw one picture per seed together."""
    options: dict[str, Any] = {"size": size, "progress": advance, "control": order.control}
    options["examples"] = [order.examples] * len(seeds)
    return model.draw_all([prompt] * len(seeds), seeds, **options, **order.overrides)


def part_of(advance: terminal.Advance, first: int, size: int, count: int) -> terminal.Advance:
    """Progress of one batch as progress of all pictures.

    Args:
        first: pictures before the batch.
        size: pictures in the batch.
        count: pictures in all.
    """

    def step(done: int, total: int) -> None:
        codes = total // size  # of one picture
        advance(first * codes + done, count * codes)

    return step


def size_warning(model: "Model", size: tuple[int, int], faithful: bool) -> str:
    """A warning if drawings of this size will be poor, else "".

    Args:
        faithful: the size is that of an older drawing, which is repeated even if it is useless.

    Raises:
        ImageError: drawings of this size are useless.
    """
    try:
        return model.parts.layout.check_size(size)
    except ImageError as problem:
        model.parts.layout.grid_of(size)
        if not faithful:
            raise
        return problem.message


def watch(steps: "Iterator[Step]", show: "Callable[[Image], None]") -> "Picture":
    """Show a drawing's previews; returns the finished picture."""
    picture = None
    for step in steps:
        show(step.preview)
        picture = step.picture
    assert picture is not None
    return picture


def report(
    pictures: "list[Picture]",
    paths: list[Path],
    seed: int,
    model: str,
    drafted: bool,
    preview: bool | None,
    as_json: bool,
) -> None:
    """Print each picture's file, seed and time, or one JSON object."""
    if as_json:
        files = [str(path) for path in paths]
        tokens = sum(picture.cells for picture in pictures) if drafted else 0
        timings = {name: round(sum(p.timings_ms[name] for p in pictures), 1) for name in ("plan", "render", "total")}
        summary = {"files": files, "seed": seed, "model": model, "tokens": tokens, "timings_ms": timings}
        terminal.print_json(summary | {"unknown_words": unknown(pictures[0]) if drafted and pictures else []})
        return
    for picture, path in zip(pictures, paths, strict=True):
        if preview or (preview is None and terminal.shows_pictures()):
            terminal.show_picture(picture.image)
        print(f"{path}  seed {picture.seed}  {picture.timings_ms['total'] / 1000:.1f} s")


def unknown(picture: "Picture") -> list[dict[str, Any]]:
    """The entry "unknown_words" of the JSON output: prompt words that the model was never taught."""
    return [{"word": entry.word, "nearest": list(entry.nearest)} for entry in picture.unknown_words]


def slug(text: str) -> str:
    """A file name stem from a text: its letters and digits, of any script, 40 characters at most."""
    words = "".join(character if character.isalnum() else " " for character in text).split()
    return "-".join(words)[:40].rstrip("-") or "picture"
