"""What a client asks for, checked before anything is computed, as tickets.

Shapes: h w grid.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lantu.diffusion import samplers
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.engine.sampling_params import SamplingParams
from lantu.engine.seeds import choose_seed, derive_seeds
from lantu.errors import DataError, ImageError
from lantu.pipeline import Control, Model
from lantu.server.errors import ApiError, not_learnt
from lantu.server.jobs import Ticket
from lantu.tasks import captioning, masks
from lantu.tasks.preview import partial_grid
from lantu.tasks.requests import filling, reading
from lantu.tasks.validation import Grid, Size, check_codes, check_prompt
from lantu.tokens import document
from lantu.types import CodeGrid, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

Marks = Callable[[int], frozenset[int] | None]
Sketched = Literal["always", "if quiet", "never"]


def parse_size(text: str | None, model: Model, warnings: list[str]) -> Size:
    """ "auto" or "128x128" → width and height in pixels.

    Args:
        warnings: where one is added if the model draws that size badly.

    Raises:
        ApiError: it is neither, no picture has that size, or the model draws nothing sensible of it.
    """
    if text in (None, "auto"):
        return model.size
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text, re.ASCII)
    if match is None:
        hint = 'write "auto" or width x height in pixels, e.g. "128x128"'
        raise ApiError(400, f"the size {text!r} can't be read: {hint}", "invalid_value", "size")
    size = int(match[1]), int(match[2])
    try:
        warning = model.check_size(size)
    except ImageError as problem:
        raise ApiError(400, str(problem), "invalid_image", "size") from problem
    if warning:
        warnings.append(warning)
    return size


def read_settings(model: Model, dials: dict[str, Any]) -> SamplingParams:
    """The model's dials, changed.

    Raises:
        LantuError: a dial is out of range.
    """
    settings = model.folder.settings.change(**dials)
    samplers.check(settings.sampler)
    return settings


def evenly(count: int) -> Marks:
    """So many marks, evenly through the draft; none in its last part, after which painting takes as long again.

    A draft of few ids has as many, as long as there are ids for them.
    """
    return lambda total: frozenset(max(place, total * place // (count + 3)) for place in range(1, count + 1))


def rows(width: int) -> Marks:
    """A mark a row of cells; the last is the finished picture's."""
    return lambda total: frozenset(range(width, total, width))


def drawings(
    model: Model,
    prompt: str,
    count: int,
    seed: int | None,
    size: Size,
    dials: dict[str, Any],
    *,
    marks: Marks = evenly(0),
    sketched: Sketched = "never",
    control: Control | None = None,
    bias: ControlLogitsProcessor | None = None,
) -> list[Ticket]:
    """Pictures of some words: what ``Model.draw_many`` gives.

    Args:
        bias: ``Model.bias`` of the control.
    """
    settings, grid = read_settings(model, dials), model.grid_of(size)
    requests = [model.ask(prompt, own, grid, settings, bias=bias) for own in derive_seeds(seed, count)]
    steered = control if control and control.scale else None
    return whole(model, requests, grid, prompt, settings, marks, sketched, steered)


def changes(
    model: Model,
    shown: Sequence[Picture],
    instruction: str,
    count: int,
    seed: int | None,
    dials: dict[str, Any],
    *,
    marks: Marks = evenly(0),
    sketched: Sketched = "never",
) -> list[Ticket]:
    """Pictures changed as told: what ``Model.edit`` gives without a box or a mask."""
    needs(model, "talking")
    settings, (height, width) = read_settings(model, dials), shown[-1].codes.shape
    turns = [[check_prompt(instruction), *shown]]
    requests = [model.changing(turns, own, settings) for own in derive_seeds(seed, count)]
    tickets = whole(model, requests, (height, width), instruction, settings, marks, sketched)
    for ticket in tickets:
        ticket.draws = False
    if planning := model.planning(turns):
        for ticket in tickets:
            own, ticket.request = ticket.seed, planning
            ticket.then = lambda ids, own=own: model.changing(turns, own, settings, model.goal(ids))
    return tickets


def whole(
    model: Model,
    requests: Sequence[Request],
    grid: Grid,
    prompt: str,
    settings: SamplingParams,
    marks: Marks,
    sketched: Sketched,
    control: Control | None = None,
) -> list[Ticket]:
    """Pictures all of whose codes are asked for."""
    vocabulary = model.parts.vocabulary
    return [
        Ticket(
            request=request,
            grids=lambda ids: [document.codes_from(ids, *grid, vocabulary)],
            cells=grid[0] * grid[1],
            settings=settings,
            seed=request.seed,
            prompt=prompt,
            control=control,
            marks=marks(grid[0] * grid[1]),
            partial=lambda ids: partial_grid([id_ - vocabulary.first_code for id_ in ids], *grid),
            sketched=sketched,
        )
        for request in requests
    ]


def fillings(
    model: Model,
    codes_hw: np.ndarray,
    holes_hw: np.ndarray,
    prompt: str,
    count: int,
    seed: int | None,
    dials: dict[str, Any],
    *,
    before: "Image | None" = None,
    marks: Marks = evenly(0),
    sketched: Sketched = "never",
) -> list[Ticket]:
    """Pictures of which some cells are drawn anew: what ``Model.edit`` gives.

    Args:
        before: the picture as it is; its pixels stay away from those cells.
    """
    needs(model, "filling")
    settings, vocabulary = read_settings(model, dials), model.parts.vocabulary
    text = model.parts.text.encode(model.worded(prompt))

    unknown = np.where(holes_hw, -1, codes_hw)
    tickets = []
    for own in derive_seeds(seed, count):
        request = model.checked(filling(text, codes_hw, holes_hw, vocabulary, own, settings))
        ticket = Ticket(
            request=request,
            grids=lambda ids: [document.fill(codes_hw, holes_hw, ids, vocabulary)],
            cells=codes_hw.size,
            settings=settings,
            seed=own,
            prompt=prompt,
            marks=marks(request.limit),
            partial=lambda ids: document.fill(unknown, holes_hw, ids, vocabulary),
            sketched=sketched,
            finish=laying_in(before, holes_hw) if before else None,
        )
        tickets.append(ticket)
    return tickets


def laying_in(before: "Image", holes_hw: np.ndarray) -> Callable[[Picture], Picture]:
    """Keep the old picture where nothing is drawn anew."""
    return lambda picture: replace(picture, image=masks.lay_in(before, picture.image, holes_hw))


def talks(
    model: Model,
    parts: "Sequence[str | Picture]",
    before: "Sequence[Sequence[str | Picture]]",
    count: int,
    seed: int | None,
    dials: dict[str, Any],
    *,
    most: int | None = None,
    marks: frozenset[int] | None = frozenset(),
) -> list[Ticket]:
    """Answers: what ``Model.chat`` gives. ``Done.ids`` hold the words.

    Args:
        most: ids of an answer; a picture for which they are too few is not drawn.
    """
    needs(model, "talking")
    settings, vocabulary = read_settings(model, dials), model.parts.vocabulary
    turns = [*before, parts]

    def grids(ids: Sequence[int]) -> list[np.ndarray]:
        if ids and ids[0] >= vocabulary.first_code:  # drawn by a plan
            return [document.codes_from(ids, *model.grid_after(turns), vocabulary)]
        said = document.read_reply(ids, vocabulary, model.parts.text.decode)
        return [part.codes for part in said.parts if isinstance(part, CodeGrid)]

    def drawn(ids: Sequence[int], own: int) -> Request | None:
        said = document.read_reply(ids, vocabulary, model.parts.text.decode)
        room = most is None or len(ids) + model.folder.grid[0] * model.folder.grid[1] <= most
        return model.changing(turns, own, settings, model.goal(ids)) if said.draws and room else None

    tickets = []
    for own in derive_seeds(seed, count):
        request = model.asking(turns, own, settings)
        ticket = Ticket(
            request=replace(request, limit=min(most or request.limit, request.limit)),
            grids=grids,
            cells=model.folder.grid[0] * model.folder.grid[1],
            settings=settings,
            seed=own,
            prompt=" ".join(part for part in parts if isinstance(part, str)),
            draws=False,
            marks=marks,
            then=lambda ids, own=own: drawn(ids, own),
        )
        tickets.append(ticket)
    return tickets


def captions(
    model: Model,
    codes_hw: np.ndarray,
    language: str,
    count: int = 1,
    seed: int | None = 0,
    temperature: float = 0.0,
    *,
    most: int | None = None,
    marks: frozenset[int] | None = frozenset(),
) -> list[Ticket]:
    """Captions of a picture: what ``Model.read`` gives. ``Done.ids`` are the words."""
    tickets = []
    for own in derive_seeds(seed, count):
        request = reading(codes_hw, language, model.parts.vocabulary, own, temperature)
        allowed = captioning.script(model.parts, language)
        request = replace(request, allowed=allowed, limit=min(most or request.limit, request.limit))
        tickets.append(Ticket(request=model.checked(request), seed=own, marks=marks))
    return tickets


def renderings(
    model: Model, codes_hw: np.ndarray, seed: int | None, prompt: str, dials: dict[str, Any]
) -> list[Ticket]:
    """The picture of a grid of codes: what ``Model.render`` gives."""
    settings = read_settings(model, dials)
    told: dict[str, Any] = {"settings": settings, "seed": choose_seed(seed), "prompt": prompt, "draws": False}
    return [Ticket(grids=lambda ids: [codes_hw], cells=codes_hw.size, **told)]


def read_codes(model: Model, rows: list[list[int]]) -> np.ndarray:
    """A client's grid, (h, w) int64.

    Raises:
        DataError: it is none, or has codes that the model doesn't know.
    """
    if len({len(row) for row in rows}) != 1:
        raise DataError("the rows of codes are not of one length", "give a grid")
    try:
        return check_codes(np.array(rows, np.int64), model.folder.codebook_size)
    except OverflowError as problem:
        raise DataError("there are no codes that large", "give the codes of a picture made by this model") from problem


def read_cells(cells: Sequence[tuple[int, int]], grid: Grid) -> np.ndarray:
    """Cells by row and column as (h, w) bool.

    Raises:
        DataError: one is not in the grid.
    """
    holes = np.zeros(grid, bool)
    for row, column in cells:
        if not (0 <= row < grid[0] and 0 <= column < grid[1]):
            raise DataError(f"there is no cell {row},{column}", f"the grid has {grid[0]} rows of {grid[1]}")
        holes[row, column] = True
    return holes


def needs(model: Model, ability: str) -> None:
    """Refuse what the model was not taught.

    Raises:
        ApiError: it was not.
    """
    if ability not in model.folder.learnt:
        raise not_learnt(model.name, ability)
