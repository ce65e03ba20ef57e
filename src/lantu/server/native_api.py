"""What OpenAI has no routes for: codes on their way, drawing cells anew, tokenizing, rendering."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from lantu.errors import ImageError
from lantu.images import metadata
from lantu.models.lantu.controls import KINDS
from lantu.pipeline import Control, Model
from lantu.server import files, schemas, uploads, wishes
from lantu.server.answers import Stream, Subscription, finished
from lantu.server.bodies import Route
from lantu.server.errors import ApiError
from lantu.server.intake import WrongSize, may_be_ours, opened
from lantu.server.jobs import Begun, Done, Progress, Ticket
from lantu.server.service import ERRORS, Service, Serving, computed
from lantu.server.shown import asked_size, judged, recognised, warnings
from lantu.tasks import captioning
from lantu.types import Picture

router = APIRouter(prefix="/v1/lantu", tags=["lantu"], responses=dict(ERRORS), route_class=Route)
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "queued, codes, completed; [DONE]"}
}
WAITING_S = 0.5  # how often a client that waits is told so


@router.get("/info")
async def info(service: Serving) -> dict[str, Any]:
    """What is served, and what can be set."""
    model = service.model
    told, defaults = model.info(), model.folder.settings.as_dict()
    return {
        "name": model.name,
        "digest": model.digest,
        "size": list(model.size),
        "patch": model.patch,
        "grid": list(model.folder.grid),
        "codebook_size": model.folder.codebook_size,
        "parameters": told["parameters"],
        "settings": defaults,
        "dials": {name: edges | {"default": defaults[name]} for name, edges in schemas.ranges().items()},
        "learnt": model.folder.learnt,
        "controls": list(KINDS) if model.folder.controlled else [],
        "license": told.get("license", ""),
    }


@router.post("/draw", response_class=Response, responses=EVENTS)
async def draw(body: schemas.Draw, request: Request, service: Serving) -> Response:
    """Draw, and tell how it goes."""
    model = service.model
    size = asked_size(body.size, request, model)
    control = await steering(body.control, size, service) if body.control else None
    bias = None
    if control:  # which is loaded when it is first asked for
        bias = await computed(request, service, lambda: model.bias(control, model.grid_of(size)))
    tickets = wishes.drawings(
        model,
        body.prompt,
        1,
        body.seed,
        size,
        body.dials(),
        marks=wishes.rows(size[0] // model.patch),
        sketched="never" if body.previews is False else "if quiet",
        control=control,
        bias=bias,
    )
    return await told(service, request, tickets)


@router.post("/redraw", response_class=Response, responses=EVENTS)
async def redraw(body: schemas.Redraw, request: Request, service: Serving) -> Response:
    """Draw some cells anew; all other codes stay. Needs a model that has learnt filling."""
    model = service.model
    wishes.needs(model, "filling")
    codes = wishes.read_codes(model, body.codes)
    holes = wishes.read_cells(body.cells, (codes.shape[0], codes.shape[1]))
    before = None
    if body.picture is not None:
        data = await asyncio.to_thread(uploads.from_url, body.picture, "picture")
        size = model.size_of((codes.shape[0], codes.shape[1]))
        try:
            before = await opened(data, "picture", service, sizes=lambda own: own == size)
        except WrongSize as problem:
            raise ImageError("the picture is not of the size of its codes", "send both of one picture") from problem
        # What comes out has its pixels, so nothing else would show the judge these codes.
        await judged(codes, "codes", request, service)
    tickets = wishes.fillings(
        model,
        codes,
        holes,
        body.prompt,
        1,
        body.seed,
        body.dials(),
        before=before,
        marks=wishes.rows(codes.shape[1]),
        sketched="never" if body.previews is False else "if quiet",
    )
    return await told(service, request, tickets)


@router.post("/instruct", response_class=Response, responses=EVENTS)
async def instruct(body: schemas.Instruct, request: Request, service: Serving) -> Response:
    """Change a picture as told, in words. Needs a model that has learnt talking."""
    model = service.model
    shown = shown_by(model, body.codes)
    tickets = wishes.changes(
        model,
        [shown],
        body.instruction,
        1,
        body.seed,
        body.dials(),
        marks=wishes.rows(shown.codes.shape[1]),
        sketched="never" if body.previews is False else "if quiet",
    )
    return await told(service, request, tickets)


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
    return {"codes": codes.tolist(), "size": list(model.size_of(codes.shape))}


@router.post("/render")
async def render(body: schemas.Render, request: Request, service: Serving) -> dict[str, Any]:
    """The picture of a grid of codes."""
    codes = wishes.read_codes(service.model, body.codes)
    tickets = wishes.renderings(service.model, codes, body.seed, body.prompt or "", body.dials())
    (end,) = await finished(request, await service.subscription(request, tickets))
    return await as_json(end.pictures[0], tickets[0], service)


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
    codes = wishes.read_codes(model, body.codes)
    await judged(codes, "codes", request, service)

    def work() -> str:
        seen = captioning.denoised_codes(model.parts, codes[None]) if body.encoded else codes[None]
        return model.read(seen, body.language)[0]

    return {"caption": await computed(request, service, work)}


async def told(service: Service, request: Request, tickets: list[Ticket]) -> Stream:
    """One picture's way as events."""
    subscription = await service.subscription(request, tickets)
    return Stream(events(subscription, service, warnings(request)), subscription, service.count)


async def events(
    subscription: Subscription, service: Service, warnings: Sequence[str]
) -> AsyncIterator[dict[str, Any] | None]:
    (ticket,) = subscription.tickets
    waits = True
    if place := subscription.worker.place(ticket):
        yield queued(place)
    async for _, event in subscription.follow(WAITING_S):
        if isinstance(event, Begun):
            waits = False
        elif event is None:
            place = subscription.worker.place(ticket) if waits else None
            yield queued(place) if place else None
        elif isinstance(event, Progress) and event.codes is not None:
            preview = await asyncio.to_thread(files.encode_partial, event.preview) if event.preview else None
            yield {
                "type": "codes",
                "codes": event.codes.tolist(),
                "done": len(event.ids),
                "total": ticket.ids,
                "preview": files.in_base64(preview) if preview else None,
            }
        elif isinstance(event, Done):
            picture = await as_json(event.pictures[0], ticket, service)
            if found := [*warnings, *picture.get("warnings", [])]:
                picture["warnings"] = found
            yield {"type": "completed", "picture": picture}


def queued(place: tuple[int, float]) -> dict[str, Any]:
    return {"type": "queued", "place": place[0], "wait_s": round(place[1], 2)}


async def as_json(picture: Picture, ticket: Ticket, service: Service) -> dict[str, Any]:
    file = await service.encode(picture, mixed=ticket.mixed)
    return files.as_json(picture, file) | {"model": service.model.name} | known_of(picture, service.model, ticket)


def known_of(picture: Picture, model: Model, ticket: Ticket) -> dict[str, Any]:
    """Words of the prompt that the model was not taught, and what to know of the picture before it is believed."""
    warnings = model.warnings(picture.prompt, ticket.draws)
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


def shown_by(model: Model, rows: list[list[int]]) -> Picture:
    """A picture that is known by its codes alone."""
    return model.of_codes(wishes.read_codes(model, rows))
