"""``lantu_layout.json``: how a stock causal language model draws, in fields instead of code.

    {
      "prompt": "<|t2i|>A picture of {prompt}<|soi|>",
      "unconditional": "<|t2i|><|soi|>",
      "codes": {"first": "tokenizer", "size": 16384},
      "grid": {"default": [32, 32]},
      "patch": 16,
      "sampling": {"guidance": 7.5, "top_k": 1000},
      "decoder": {"kind": "vqgan", "folder": "decoder"}
    }

See docs/families.md for all fields; with "like": "llamagen" it says only in what it differs from a layout that comes
with lantu. The file is not trusted: numbers have ranges, templates take only known placeholders, folders lie inside the
model's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError, ModelError
from lantu.files.untrusted import Fields, is_plain_name, shown
from lantu.models import download
from lantu.models.plain.decoders import KINDS
from lantu.models.spec import Grid
from lantu.tokens.vocabulary import MAX_CODES, MAX_PATCH
from lantu.types import MAX_GRID
from lantu.weights.architecture import MAX_IDS

FILE = "lantu_layout.json"
SIDES = ("height", "width")  # placeholders of every template: of the grid, in codes
ROLES = ("system", "user", "assistant")
KNOWN = (
    *("name", "licence", "source", "recognise"),
    *("language", "prompt", "chat", "special_tokens", "unconditional", "codes", "row_end", "grid", "sampling"),
    *("patch", "decoder"),
)
MAX_TEXT, MAX_TURNS = 4000, 8
TOKEN_PATTERN = re.compile(r"[^{}]*\{(?::0\d{1,2}d?)?\}[^{}]*")  # one code, such as <I{}> or <|visual token {:06d}|>
HINT = "docs/families.md says what each field means"


@dataclass(frozen=True)
class CodeIds:
    """The ids of image codes: consecutive, code 0 first.

    Attributes:
        size: number of codes.
        first: id of code 0; None where the tokenizer says it.
        pattern: token of a code, such as ``<I{}>``; "" where codes have no tokens: they follow the tokenizer's ids.
    """

    size: int
    first: int | None = None
    pattern: str = ""


@dataclass(frozen=True)
class Grids:
    """Heights and widths in codes that a model draws.

    Attributes:
        default: of its training pictures.
        others: that it draws as well.
        sides: the shortest and the longest side, if it draws all grids between.
    """

    default: Grid
    others: tuple[Grid, ...] = ()
    sides: tuple[int, int] | None = None

    def has(self, grid: Grid) -> bool:
        """Whether the model draws such a grid."""
        if self.sides and self.sides[0] <= min(grid) and max(grid) <= self.sides[1]:
            return True
        return grid in (self.default, *self.others)


@dataclass(frozen=True)
class Place:
    """Where a part lies: a folder inside the model's own, or inside a model of the hub.

    Attributes:
        hub: its id; "" for none.
    """

    folder: str
    hub: str = ""

    def find(self, home: Path) -> Path:
        """The folder, which is downloaded where the cache has it not. Raises ModelError, LantuError or DiskError."""
        return (download.fetch(self.hub) if self.hub else home) / self.folder


@dataclass(frozen=True)
class DecoderEntry:
    """What renders.

    Attributes:
        kind: one of ``decoders.KINDS``.
        source: where it can be had from, for the error where it is missing.
    """

    kind: str
    place: Place
    source: str = ""


@dataclass(frozen=True)
class Description:
    """The content of a layout file, checked.

    Attributes:
        language: where the language model and its tokenizer lie.
        prompt: template with {prompt} or {chat}, and the sides of the grid in codes as {height} and {width}.
        chat: roles and texts, with {prompt}, that the model's chat template turns into {chat}.
        special_tokens: whether the tokenizer adds its own at the ends.
        unconditional: template of what guidance compares with; None where the model has no guidance.
        row_end: the id, or its token, behind each row of codes; None for none.
        patch: pixels a side of a code.
        decoder: None where none can be opened.
        recognise: values of config.json that identify the model's published directory.
    """

    name: str
    licence: str
    source: str
    language: Place
    prompt: str
    chat: tuple[tuple[str, str], ...]
    special_tokens: bool
    unconditional: str | None
    codes: CodeIds
    row_end: int | str | None
    grids: Grids
    patch: int
    sampling: SamplingParams
    decoder: DecoderEntry | None
    recognise: Mapping[str, Any]

    @classmethod
    def of(cls, content: Mapping[str, Any], where: str = FILE) -> "Description":
        """From the content of the file. Raises ModelError."""
        given = Reader({name: value for name, value in content.items() if value is not None}, where)
        given.only(KNOWN)
        chat = chat_of(given)
        made = cls(
            name=given.text("name", ""),
            licence=given.text("licence", "unknown: see its model card"),
            source=given.text("source", ""),
            language=language_of(given),
            prompt=given.template("prompt", ("chat" if chat else "prompt", *SIDES)),
            chat=chat,
            special_tokens=given.one_of("special_tokens", (True, False)) if given.given("special_tokens") else True,
            unconditional=given.template("unconditional", SIDES) if given.given("unconditional") else None,
            codes=codes_of(given.part("codes")),
            row_end=given.token("row_end") if given.given("row_end") else None,
            grids=grids_of(given.part("grid")),
            patch=given.whole("patch", 1, MAX_PATCH),
            sampling=sampling_of(given),
            decoder=decoder_of(given.part("decoder")) if given.given("decoder") else None,
            recognise=given.part("recognise").values if given.given("recognise") else {},
        )
        needed = "{chat}" if chat else "{prompt}"
        if needed not in made.prompt:
            given.bad("prompt", f"a text with {needed} in it")
        if made.sampling.guidance != 1 and made.unconditional is None:
            given.bad("unconditional", f"a text, with which a guidance of {made.sampling.guidance:g} compares")
        return made


class Reader(Fields):
    """Checked access to a layout file's fields."""

    def bad(self, name: str, wanted: str) -> NoReturn:
        """Raise the error of a field: what was found, and what is expected."""
        found = f'has "{name}" {shown(self.values[name])}, not' if name in self.values else f'lacks "{name}",'
        raise ModelError(f"{self.where} {found} {wanted}", HINT)

    def get(self, name: str) -> Any:
        """A required field."""
        if name not in self.values:
            raise ModelError(f'{self.where} lacks "{name}"', HINT)
        return self.values[name]

    def refuse(self, name: str, wanted: str) -> None:
        """Raise the error of a field."""
        self.bad(name, wanted)

    def text(self, name: str, default: str) -> str:
        """A printable text."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
            self.bad(name, "a text of one line")
        return value

    def template(self, name: str, placeholders: tuple[str, ...]) -> str:
        """A text with placeholders."""
        value = self.get(name)
        if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
            self.bad(name, f"a text of at most {MAX_TEXT:,} characters")
        if unknown := [each for each in re.findall(r"\{(\w+)\}", value) if each not in placeholders]:
            known = ", ".join(f"{{{each}}}" for each in placeholders)
            raise ModelError(f'"{name}" of {self.where} has the placeholder {{{unknown[0]}}}', f"known are {known}")
        return value

    def folder(self, name: str, default: str) -> str:
        """A folder inside the model's."""
        value = self.values.get(name, default)
        parts = PurePosixPath(value).parts if isinstance(value, str) else ("..",)
        if not all(map(is_plain_name, parts)):
            self.bad(name, "a folder inside the model's")
        return value

    def token(self, name: str) -> int | str:
        """An id or the text of a token."""
        value = self.get(name)
        if isinstance(value, str) and 0 < len(value) <= 100:
            return value
        return self.whole(name, 0, MAX_IDS)

    def part(self, name: str) -> "Reader":
        """A nested object, without its nulls."""
        value = self.get(name)
        if not isinstance(value, Mapping):
            self.bad(name, "an object")
        return Reader({key: entry for key, entry in value.items() if entry is not None}, f'"{name}" of {self.where}')


def chat_of(given: Reader) -> tuple[tuple[str, str], ...]:
    """The field "chat": a list of objects with "role" and "content". Raises ModelError."""
    turns = given.values.get("chat", [])
    if not isinstance(turns, list) or len(turns) > MAX_TURNS or not all(isinstance(each, Mapping) for each in turns):
        given.bad("chat", f'a list of at most {MAX_TURNS} objects with "role" and "content"')
    readers = [Reader(each, f'"chat" of {given.where}') for each in turns]
    chat = tuple((each.one_of("role", ROLES), each.template("content", ("prompt", *SIDES))) for each in readers)
    if chat and not any("{prompt}" in content for _, content in chat):
        given.bad("chat", "turns with {prompt} in one of them")
    return chat


def codes_of(given: Reader) -> CodeIds:
    """The field "codes". Raises ModelError."""
    given.only(("first", "token", "size"))
    size = given.whole("size", 2, MAX_CODES)
    if given.given("token"):
        pattern = given.text("token", "")
        if not TOKEN_PATTERN.fullmatch(pattern):
            given.bad("token", "a text with one {} or {:06d} in it, where the number of a code goes")
        return CodeIds(size, pattern=pattern)
    if given.get("first") == "tokenizer":
        return CodeIds(size)
    if not isinstance(given.get("first"), int):
        given.bad("first", 'the id of code 0, or "tokenizer" where codes follow the tokenizer\'s ids')
    return CodeIds(size, given.whole("first", 0, MAX_IDS))


def grids_of(given: Reader) -> Grids:
    """The field "grid". Raises ModelError."""
    given.only(("default", "others", "sides"))
    default = pair(given, "default", given.get("default"))
    others = given.list("others", lambda each: True, "heights and widths") if given.given("others") else ()
    sides = pair(given, "sides", given.values["sides"]) if given.given("sides") else None
    if sides and sides[0] > sides[1]:
        given.bad("sides", "the shortest and the longest side")
    return Grids(default, tuple(pair(given, "others", each) for each in others), sides)


def pair(given: Reader, name: str, value: object) -> tuple[int, int]:
    """Two sides in codes. Raises ModelError."""
    sides = value if isinstance(value, list) else ()
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= MAX_GRID for side in sides):
        given.bad(name, f"two whole numbers of codes from 1 to {MAX_GRID}")
    return sides[0], sides[1]


def sampling_of(given: Reader) -> SamplingParams:
    """The field "sampling": sampling parameters by name; lantu's defaults, without guidance, for the others."""
    if not given.given("sampling"):
        return SamplingParams(guidance=1.0)
    wanted = given.part("sampling")
    wanted.only([field.name for field in fields(SamplingParams)])
    try:
        values: dict[str, Any] = {"guidance": 1.0, **wanted.values}
        return SamplingParams(**values)
    except (LantuError, TypeError) as problem:
        raise ModelError(f"{wanted.where}: {problem}".removesuffix("."), HINT) from problem


def decoder_of(given: Reader) -> DecoderEntry:
    """The field "decoder". Raises ModelError."""
    given.only(("kind", "folder", "hub", "source"))
    kind, source = given.one_of("kind", tuple(KINDS)), given.text("source", "")
    return DecoderEntry(kind, place_of(given, "decoder"), source)


def language_of(given: Reader) -> Place:
    """The field "language": a folder, or an object with "hub" and "folder". Raises ModelError."""
    if isinstance(given.values.get("language"), Mapping):
        return place_of(given.part("language"))
    return Place(given.folder("language", "."))


def place_of(given: Reader, default: str = ".") -> Place:
    """The fields "hub" and "folder". Raises ModelError."""
    hub = given.text("hub", "")
    if hub and not download.is_id(hub):
        given.bad("hub", "the id of a model on the hub, owner/name")
    return Place(given.folder("folder", "." if hub else default), hub)
