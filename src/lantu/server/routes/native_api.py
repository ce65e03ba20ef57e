"""What OpenAI has no routes for: codes on their way, drawing cells anew, tokenizing, rendering."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from lantu.engine.seeds import choose_seed
from lantu.errors import ImageError
from lantu.images import metadata
from lantu.models.lantu.controls import KINDS
from lantu.models.spec import Grid
from lantu.models.validation import require
from lantu.pipeline import Control, Model
from lantu.server import files, uploads
from lantu.server.http.bodies import Route
from lantu.server.http.errors import ApiError
from lantu.server.routes import fields, schemas
from lantu.server.routes.intake import WrongSize, may_be_ours, opened
from lantu.server.routes.pictures import asked_size, judged, recognised, warnings
from lantu.server.service import ERRORS, Service, Serving, computed, result_of
from lantu.server.subscription import Stream, Subscription, finished, pictures_in
from lantu.server.worker import jobs
from lantu.server.worker.jobs import Begun, Done, Job, Progress
from lantu.tasks import caption as captions
from lantu.tasks import draw as drawing
from lantu.tasks import edit
from lantu.tasks.effects import Task
from lantu.tasks.preview import known
from lantu.types import Caption, Picture

router = APIRouter(prefix="/v1/lantu", tags=["lantu"], responses=dict(ERRORS), route_class=Route)
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "queued, codes, completed; [DONE]"}
}
WAITING_S = 0.5  # how often a client that waits is told so


@router.get("/info")
async def info(service: Serving) -> dict[str, Any]:
    """What is served, and what can be set."""
    model = service.model
    about, defaults = model.info(), model.folder.settings.as_dict()
    return {
        "name": model.name,
        "digest": model.digest,
        "size": list(model.size),
        "patch": model.folder.patch,
        "grid": list(model.folder.grid),
        "codebook_size": model.folder.codebook_size,
        "parameters": about["parameters"],
        "settings": defaults,
        "dials": {name: edges | {"default": defaults[name]} for name, edges in schemas.ranges().items()},
        "learnt": [name for name in model.folder.abilities if name not in ("drawing", "captioning")],
        "controls": list(KINDS) if model.folder.controlled else [],
        "license": about.get("license", ""),
    }


@router.post("/draw", response_class=Response, responses=EVENTS)
async def draw(body: schemas.Draw, request: Request, service: Serving) -> Response:
    """Draw, and tell how it goes."""
    model = service.model
    size = asked_size(body.size, request, model)
    control = await steering(body.control, size, service) if body.control else None
    grid, processor = model.parts.layout.grid_of(size), None
    if control:  # which is loaded when it is first asked for
        processor = await computed(request, service, lambda: model.parts.control_processor(control, grid))
    seed, params = choose_seed(body.seed), fields.read_params(model, body.dials())
    task = drawing.draw(model.parts, body.prompt, seed, grid, params, control=control, processor=processor)
    return await stream(service, request, task, body, grid, Answered(body.prompt))


@router.post("/redraw", response_class=Response, responses=EVENTS)
async def redraw(body: schemas.Redraw, request: Request, service: Serving) -> Response:
    """Draw some cells anew; all other codes stay. Needs a model that has learnt filling."""
    model = service.model
    require(model.folder, "filling")
    codes = fields.read_codes(model, body.codes)
    grid = codes.shape[0], codes.shape[1]
    holes = fields.read_cells(body.cells, grid)
    before = None
    if body.picture is not None:
        data = await asyncio.to_thread(uploads.from_url, body.picture, "picture")
        size = model.parts.layout.size_of(grid)
        try:
            before = await opened(data, "picture", service, sizes=lambda own: own == size)
        except WrongSize as problem:
            raise ImageError("the picture is not of the size of its codes", "send both of one picture") from problem
        # What comes out has its pixels, so nothing else would show the judge these codes.
        await judged(codes, "codes", request, service)
    seed, params = choose_seed(body.seed), fields.read_params(model, body.dials())
    task = edit.fill(model.parts, codes, holes, body.prompt, seed, params, before)
    return await stream(service, request, task, body, grid, Answered(body.prompt, mixed=before is not None))


@router.post("/instruct", response_class=Response, responses=EVENTS)
async def instruct(body: schemas.Instruct, request: Request, service: Serving) -> Response:
    """Change a picture by an instruction. Needs a model that has learnt talking."""
    model = service.model
    require(model.folder, "talking")
    picture = model.parts.layout.of_codes(fields.read_codes(model, body.codes))
    seed, params = choose_seed(body.seed), fields.read_params(model, body.dials())
    task = edit.instruct(model.parts, [picture], body.instruction, seed, params)
    grid = picture.codes.shape[0], picture.codes.shape[1]
    return await stream(service, request, task, body, grid, Answered(body.instruction, draws=False))


@router.post("/tokenize")
async def tokenize(
    request: Request,
    service: Serving,
    image: Annotated[UploadFile, File()],
    fit: Annotated[bool, Form(description="Scale and crop a picture of another size.")] = False,
) -> dict[str, Any]:
    """The codes of a picture."""
    model, sized = service.model, None if not fit else service.model.size
    picture = await opened(await image.read(), "image", service, fit=sized, sizes=lambda size: may_be_ours(size, model))
    codes = await computed(request, service, lambda: model.tokenize(picture))
    return {"codes": codes.tolist(), "size": list(model.parts.layout.size_of(codes.shape))}


@router.post("/render")
async def render(body: schemas.Render, request: Request, service: Serving) -> dict[str, Any]:
    """The picture of a grid of codes."""
    model = service.model
    codes, params = fields.read_codes(model, body.codes), fields.read_params(model, body.dials())
    job = Job(drawing.render(model.parts, codes, choose_seed(body.seed), params, body.prompt or ""))
    (end,) = await finished(request, await service.subscription(request, [job], body.prompt or ""))
    return await as_json(end.result, Answered(body.prompt or "", draws=False), service)


@router.post("/read")
async def read(request: Request, service: Serving, image: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """What a PNG says of how it was drawn, if this model drew it and nobody changed it since."""
    data, model = await image.read(), service.model
    try:
        picture = await opened(data, "image", service, sizes=lambda size: may_be_ours(size, model))
    except WrongSize as problem:
        message = "the picture is of a size that this model does not draw"
        raise ApiError(404, message, "no_metadata", "image") from problem
    seen = await recognised(data, picture, "the picture", request, service)
    if seen.drawing is None:
        raise ApiError(404, seen.note or "the picture does not say how it was drawn", "no_metadata", "image")
    return metadata.describe(seen.drawing) | {"digest": seen.drawing.model}


@router.post("/caption")
async def caption(body: schemas.Caption, request: Request, service: Serving) -> dict[str, str]:
    """What is on a picture, in words."""
    model = service.model
    codes = fields.read_codes(model, body.codes)
    await judged(codes, "codes", request, service)

    def task() -> Task[Caption]:
        seen = (yield from captions.denoise_codes(model.parts, codes)) if body.encoded else codes
        return (yield from captions.caption_codes(model.parts, seen, body.language))

    return {"caption": await result_of(request, service, Job(task()))}


@dataclass(frozen=True)
class Answered:
    """What an answer says of its picture beside the picture.

    Attributes:
        prompt: the words that the model reads.
        draws: they name what is to be drawn; an instruction need not.
        mixed: a part of the client's picture stays in it.
    """

    prompt: str
    draws: bool = True
    mixed: bool = False


async def stream(
    service: Service,
    request: Request,
    task: Task[Any],
    body: schemas.Draw | schemas.Redraw | schemas.Instruct,
    grid: Grid,
    answered: Answered,
) -> Stream:
    """One picture's progress as events, a row of codes at a time."""
    previews = "never" if body.previews is False else "if quiet"
    job = Job(task, jobs.rows(grid[1]), previews=previews)
    subscription = await service.subscription(request, [job], answered.prompt)
    return Stream(events(subscription, service, warnings(request), answered), subscription, service.count)


async def events(
    subscription: Subscription, service: Service, warnings: Sequence[str], answered: Answered
) -> AsyncIterator[dict[str, Any] | None]:
    (job,) = subscription.jobs
    waits = True
    if place := subscription.worker.place(job):
        yield queued(place)
    async for _, event in subscription.follow(WAITING_S):
        if isinstance(event, Begun):
            waits = False
        elif event is None:
            place = subscription.worker.place(job) if waits else None
            yield queued(place) if place else None
        elif isinstance(event, Progress) and event.codes is not None:
            preview = await asyncio.to_thread(files.encode_partial, event.preview) if event.preview else None
            yield {
                "type": "codes",
                "codes": event.codes.tolist(),
                "done": known(event.ids),
                "total": event.total,
                "preview": files.in_base64(preview) if preview else None,
            }
        elif isinstance(event, Done):
            picture = await as_json(pictures_in(event.result)[0], answered, service)
            if found := [*warnings, *picture.get("warnings", [])]:
                picture["warnings"] = found
            yield {"type": "completed", "picture": picture}


def queued(place: tuple[int, float]) -> dict[str, Any]:
    return {"type": "queued", "place": place[0], "wait_s": round(place[1], 2)}


async def as_json(picture: Picture, answered: Answered, service: Service) -> dict[str, Any]:
    file = await service.encode(picture, mixed=answered.mixed)
    notes = unknown_of(picture, service.model, answered)
    return files.as_json(picture, file) | {"model": service.model.name} | notes


def unknown_of(picture: Picture, model: Model, answered: Answered) -> dict[str, Any]:
    """Words of the prompt that the model was not taught, and warnings of what it draws badly."""
    warnings = model.parts.layout.warnings(picture.prompt, answered.draws)
    return files.unknown(picture) | ({"warnings": warnings} if warnings else {})


async def steering(part: schemas.ControlPart, size: tuple[int, int], service: Service) -> Control:
    """A picture of control for a drawing of that size.

    Raises:
        ImageError: it can't be read, or is of another size.
    """
    data = await asyncio.to_thread(uploads.from_url, part.picture, "control.picture")
    try:
        picture = await opened(data, "control.picture", service, sizes=lambda own: own == size)
    except WrongSize as problem:
        message = "control.picture has {}x{} pixels, the drawing {}x{}".format(*problem.size, *size)
        raise ImageError(message, "scale it to the drawing's size") from problem
    return Control(picture, part.kind, part.scale)
