"""What captions pictures of a data set, here or on another machine."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.data.contents import Content, InFile, InTable, is_svg, rendered
from lantu.errors import ImageError
from lantu.images import fit, to_rgb
from lantu.models.validation import nearest_size
from lantu.recipes.bulk.cluster import Do
from lantu.recipes.bulk.models import opened
from lantu.tasks import reader
from lantu.tasks.caption import caption_picture
from lantu.tasks.run import run
from lantu.types import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from lantu.pipeline import Model

Row = dict[str, Any]  # of a table of captions
LEFT_OUT = "left_out"  # its column with the reason why a picture has no caption


@dataclass(frozen=True)
class Wanted:
    """A picture to caption.

    Attributes:
        name: as the table names it.
        content: where it is.
        languages: of its captions.
        seed: of its captions, where they are sampled.
    """

    name: str
    content: Content
    languages: tuple[str, ...]
    seed: int = 0


@dataclass(frozen=True)
class Order:
    """What every worker gets.

    Attributes:
        model: the model's folder, and its digest.
        written_by: name and digest of the model, for the table.
        temperature: 0 for the best of several captions; else one is sampled.
    """

    model: tuple[Path, str]
    written_by: str
    device: str
    temperature: float


class Captioner:
    """Writes rows of captions.

    Args:
        model: None to open it when it is first needed.
    """

    def __init__(self, order: Order, model: "Model | None" = None):
        self.order = order
        if model is not None:
            self.model = model

    @cached_property
    def model(self) -> "Model":
        """Opened as it was ordered. Raises ModelError: it is another one on this machine."""
        return opened(*self.order.model, self.order.device)

    def rows(self, group: Sequence[Wanted]) -> list[Row]:
        """Caption some pictures together; a picture that can't be read gets a reason instead."""
        parts, seen = self.model.parts, [self.seen(one.content) for one in group]
        asked = [
            (place, language)
            for place, (one, picture) in enumerate(zip(group, seen, strict=True))
            if not isinstance(picture, str)
            for language in one.languages
        ]
        temperature = self.order.temperature
        tasks = [
            caption_picture(parts, seen[place], language, group[place].seed, temperature)  # type: ignore[arg-type]
            for place, language in asked
        ]
        captions: list[dict[str, str]] = [{} for _ in group]
        for (place, language), text in zip(asked, run(parts, tasks, batched=True), strict=True):
            captions[place][language] = str(text)
        return [self.row(*each) for each in zip(group, captions, seen, strict=True)]

    def row(self, wanted: Wanted, captions: Mapping[str, str], seen: object) -> Row:
        """A picture's row of the table."""
        row: Row = {"file": wanted.name}
        row |= {LEFT_OUT: seen} if isinstance(seen, str) else {column(name): text for name, text in captions.items()}
        if self.order.temperature:
            row |= {"temperature": self.order.temperature, "seed": wanted.seed}
        return row | {"model": self.order.written_by}

    def seen(self, content: Content) -> "Picture | Image | str":
        """A picture as ``lantu caption --fit`` reads it, with codes if the model drew it; or why it can't be read."""
        try:
            data = content.read()
            if is_svg(data):
                return self.fitted(to_rgb(rendered(data, max(self.model.size))))
        except Exception as problem:  # decoders raise all kinds of exceptions on a broken file
            return getattr(problem, "strerror", None) or " ".join(str(problem).split()) or type(problem).__name__
        try:
            found = reader.read(io.BytesIO(data), "it", self.model.parts)
        except ImageError as problem:
            return problem.message
        return found.drawing or self.fitted(found.image)

    def fitted(self, image: "Image") -> "Image":
        """A picture of the nearest size that the model reads; many large ones would fill the memory."""
        return fit(image, *nearest_size(image.size, self.model.sizes))


def column(language: str) -> str:
    """The table's column of a language."""
    return f"caption_{language}"


def captioning(order: dict[str, Any]) -> Do:
    """What a worker on a cluster does with some groups of pictures.

    Args:
        order: of ``order_as_json``.
    """
    path, digest = order["model"]
    captioner = Captioner(Order(**order | {"model": (Path(path), digest)}))

    def do(groups: list[list[dict[str, Any]]]) -> bytes:
        return json.dumps([row for group in groups for row in captioner.rows(list(map(from_json, group)))]).encode()

    return do


def order_as_json(order: Order) -> dict[str, Any]:
    """An order as JSON has it."""
    path, digest = order.model
    return asdict(order) | {"model": [str(path), digest]}


def as_json(wanted: Wanted) -> dict[str, Any]:
    """A picture to caption as JSON has it."""
    content: Any = wanted.content
    return asdict(wanted) | {"content": asdict(content) | {"path": str(content.path)}}


def from_json(job: dict[str, Any]) -> Wanted:
    """The picture of ``as_json``."""
    place = job["content"] | {"path": Path(job["content"]["path"])}
    content = InTable(**place) if "column" in place else InFile(**place)
    return Wanted(job["name"], content, tuple(job["languages"]), job["seed"])
