"""Draw what ``lantu draw`` and ``lantu detokenize`` ask for: write each picture, report it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.commands import terminal
from lantu.commands.opening import drawable, say
from lantu.commands.options import as_name, numbered
from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed, derive_seed
from lantu.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from lantu.models.control import Control
    from lantu.models.lantu.layout import Example
    from lantu.pipeline import Model
    from lantu.types import Picture, Step


TOGETHER = 8  # pictures that are drawn at once, and written before the next


@dataclass(frozen=True)
class Order:
    """What is to be drawn, as a user asks for it.

    Attributes:
        prompt: words to draw.
        grids: codes to render instead, (h, w) each.
        seed: None for any.
        size: width and height in pixels; None for the model's own.
        dials: sampling parameters that were given, see ``SamplingParams``.
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

    def like(self, former: "Picture", path: Path, model: "Model") -> "Order":
        """As a PNG was drawn, in all that was not asked for otherwise; a line says what can't be the same.

        Args:
            former: the PNG by its own account, see ``metadata.read_picture``.

        Raises:
            ImageError: there are no words, and its codes, which are not believed, can't be read from its pixels.
        """
        from lantu.tasks import reader

        ours = former.model == model.digest
        claim = reader.claim(path, former.image, str(path), model.parts)
        # Another model's cells may be of another size.
        size = (
            model.parts.layout.size_of(former.codes.shape) if ours else drawable(former.image.size, model.folder.patch)
        )
        order = replace(
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
            return order if given else replace(order, prompt=former.prompt)
        # A picture without a prompt was rendered from codes.
        seen = reader.settle(claim, model.parts)
        if seen.note:
            say(seen.note)
        return replace(order, grids=[seen.drawing.codes if seen.drawing else model.tokenize(former.image)])


def make(
    model: "Model",
    order: Order,
    count: int,
    output: Path | None,
    tokens_out: Path | None,
    preview: bool | None,
    as_json: bool,
) -> None:
    """Draw or render what is ordered, write each picture as soon as it is there, and report it."""
    from lantu.images import metadata

    seed = choose_seed(order.seed)
    prompt, size, count = order.prompt or "", order.size or model.size, len(order.grids) if order.grids else count
    if order.grids is None and (warning := size_warning(model, size, order.faithful)):
        terminal.say(f"lantu: {warning}")
    paths = numbered(output or Path(as_name(f"{slug(prompt)}-{seed}.png")), count)
    pictures: list[Picture] = []
    plain = order.grids is None and order.control is None and not order.examples
    watched = preview is not False and not as_json and plain and terminal.shows_pictures()
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(terminal.live_picture()) if watched else None
        advance = stack.enter_context(terminal.progress("drawing", shown=not (as_json or watched)))
        together = 1 if show or order.grids is not None else TOGETHER
        for first in range(0, count, together):
            seeds = [derive_seed(seed, index) for index in range(first, min(first + together, count))]
            if order.grids is not None:
                drawn = [model.render(order.grids[first], seed=seeds[0], **order.dials)]
            elif show:
                drawn = [watch(model.stream(prompt, seed=seeds[0], size=size, **order.dials), show)]
            else:

                def step(done: int, total: int, before: int = first, here: int = len(seeds)) -> None:
                    each = total // here  # codes of a picture
                    advance(before * each + done, count * each)

                before = [order.examples] * len(seeds)
                drawn = model.draw_all(
                    *([prompt] * len(seeds), seeds),
                    **{"size": size, "progress": step, "control": order.control, "examples": before},
                    **order.dials,
                )
            for picture, path in zip(drawn, paths[first:], strict=False):
                metadata.save_picture(picture, path)
            pictures += drawn
    if tokens_out:
        metadata.write_tokens(map(metadata.describe, pictures), tokens_out)
    terminal.warn(model.parts.layout.warnings(prompt) if order.grids is None else [])
    report(pictures, paths, seed, model.name, order.grids is None, preview, as_json)


def size_warning(model: "Model", size: tuple[int, int], faithful: bool) -> str:
    """What to expect of drawings of a size, if they will not be as usual.

    Args:
        faithful: the size is that of an older drawing, which is drawn again whatever comes.

    Raises:
        ImageError: nothing sensible would come.
    """
    try:
        return model.parts.layout.check_size(size)
    except ImageError as problem:
        model.parts.layout.grid_of(size)
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


def report(
    pictures: "list[Picture]",
    paths: list[Path],
    seed: int,
    model: str,
    drafted: bool,
    preview: bool | None,
    as_json: bool,
) -> None:
    """Print what was drawn, where it is and how long it took."""
    if as_json:
        files = [str(path) for path in paths]
        tokens = sum(picture.codes.size for picture in pictures) if drafted else 0
        timings = {name: round(sum(p.timings_ms[name] for p in pictures), 1) for name in ("plan", "render", "total")}
        summary = {"files": files, "seed": seed, "model": model, "tokens": tokens, "timings_ms": timings}
        terminal.print_json(summary | {"unknown_words": unknown(pictures[0]) if drafted and pictures else []})
        return
    for picture, path in zip(pictures, paths, strict=True):
        if preview or (preview is None and terminal.shows_pictures()):
            terminal.show_picture(picture.image)
        print(f"{path}  seed {picture.seed}  {picture.timings_ms['total'] / 1000:.1f} s")


def unknown(picture: "Picture") -> list[dict[str, Any]]:
    """The words of a picture's prompt that the model was not taught, for JSON."""
    return [{"word": one.word, "nearest": list(one.nearest)} for one in picture.unknown_words]


def slug(text: str) -> str:
    """A file name's stem from any text: its letters and digits, of any language, 40 characters at most."""
    words = "".join(character if character.isalnum() else " " for character in text).split()
    return "-".join(words)[:40].rstrip("-") or "picture"
