"""What OpenAI has no routes for: progress as codes, redrawing cells, tokenizing, rendering."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from lantu.engine.seeds import choose_seed
from lantu.errors import ImageError, PromptError
from lantu.images import metadata
from lantu.models.lantu.controls import KINDS
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_prompt, require
from lantu.pipeline import Control, Model
from lantu.server import files, uploads
from lantu.server.http.bodies import Route
from lantu.server.http.errors import ApiError
from lantu.server.routes import fields, schemas, warnings
from lantu.server.routes.client_pictures import (
    WrongSizeError,
    belongs,
    can_draw,
    judge_codes,
    open_picture,
    read_pictures,
    recognise,
)
from lantu.server.routes.openapi import ERRORS
from lantu.server.service import Service, Serving, call_on_worker, result_of
from lantu.server.subscription import Stream, Subscription, finished, pictures_in
from lantu.server.worker.jobs import Done, Job, Progress, Started, each_row
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
QUEUED_EVERY_S = 0.5  # interval of "queued" events


@router.get("/info")
async def info(service: Serving) -> dict[str, Any]:
    """The model that is served, and its sampling parameters."""
    model = service.model
    about, defaults = model.info(), model.folder.settings.as_dict()
    ranges = {name: edges for name, edges in schemas.ranges().items() if name not in model.folder.unused_params}
    return {
        "name": model.name,
        "digest": model.digest,
        "size": list(model.size),
        "patch": model.folder.patch,
        "grid": list(model.folder.grid),
        "codebook_size": model.folder.codebook_size,
        "parameters": about["parameters"],
        "settings": defaults,
        "dials": {name: limits | {"default": defaults[name]} for name, limits in ranges.items()},
        "learnt": [name for name in model.folder.abilities if name not in ("drawing", "captioning")],
        "codes": about.get("codes"),
        "controls": list(KINDS) if model.folder.controlled else [],
        "license": about.get("license", ""),
    }


@router.post("/draw", response_class=Response, responses=EVENTS)
async def draw(body: schemas.Draw, request: Request, service: Serving) -> Response:
    """Draw a picture, streaming progress."""
    model = service.model
    size = warnings.read_size(body.size, request, model)
    control = await read_control(body.control, size, service) if body.control else None
    grid, processor = model.parts.layout.grid_of(size), None
    if control:  # on the worker, because the first use loads the control network
        processor = await call_on_worker(request, service, lambda: model.parts.control_processor(control, grid))
    parts, urls = body.examples or [], [part.picture for part in body.examples or []]
    for place, part in enumerate(parts):
        check_caption(part.caption, f"examples.{place}.caption")
    pictures = await read_pictures(urls, "examples", request, service, bool(body.fit))
    captions = [part.caption for part in parts]
    examples = model.parts.layout.example_ids(list(zip(captions, pictures, strict=True))) if parts else ()
    seed, params = choose_seed(body.seed), fields.read_params(model, body.sampling_fields())
    how: dict[str, Any] = {"control": control, "processor": processor, "examples": examples}
    task = drawing.draw(model.parts, body.prompt, seed, grid, params, **how)
    return await stream(service, request, task, body, grid, PromptInfo(body.prompt, context=captions))


@router.post("/redraw", response_class=Response, responses=EVENTS)
async def redraw(body: schemas.Redraw, request: Request, service: Serving) -> Response:
    """Redraw some cells and keep all other codes. Needs a model with the ability "filling"."""
    model = service.model
    require(model.folder, "filling")
    codes = fields.read_codes(model, body.codes)
    grid = codes.shape[0], codes.shape[1]
    holes = fields.read_cells(body.cells, grid, model.folder.depth)
    before = None
    if body.picture is not None:
        data = await asyncio.to_thread(uploads.from_url, body.picture, "picture")
        size = model.parts.layout.size_of(grid)
        try:
            before = await open_picture(data, "picture", service, accepts=lambda found: found == size)
        except WrongSizeError as problem:
            raise ImageError("picture and codes differ in size", "send those of the same picture") from problem
        # The result keeps the picture's pixels, so the judge would never see what the codes stand for.
        await judge_codes(codes, "codes", request, service)
    seed, params = choose_seed(body.seed), fields.read_params(model, body.sampling_fields())
    warnings.warn_unused("filling", body, request, model)
    task = edit.fill(model.parts, codes, holes, body.prompt, seed, params, before)
    return await stream(service, request, task, body, grid, PromptInfo(body.prompt, composite=before is not None))


@router.post("/instruct", response_class=Response, responses=EVENTS)
async def instruct(body: schemas.Instruct, request: Request, service: Serving) -> Response:
    """Change a picture as instructed. Needs a model with the ability "talking"."""
    model = service.model
    require(model.folder, "talking")
    picture = model.parts.layout.of_codes(fields.read_codes(model, body.codes))
    urls = [url for part in body.examples or [] for url in (part.before, part.after)]
    pictures = await read_pictures(urls, "examples", request, service, bool(body.fit))
    examples = list(zip(pictures[::2], pictures[1::2], strict=True))
    seed, params = choose_seed(body.seed), fields.read_params(model, body.sampling_fields())
    warnings.warn_unused("an instruction", body, request, model)
    task = edit.instruct(model.parts, [picture], body.instruction, seed, params, examples)
    grid = picture.codes.shape[0], picture.codes.shape[1]
    return await stream(service, request, task, body, grid, PromptInfo(body.instruction, draws=False))


@router.post("/tokenize")
async def tokenize(
    request: Request,
    service: Serving,
    image: Annotated[UploadFile, File()],
    fit: Annotated[bool, Form(description="Scale and crop a picture of another size.")] = False,
) -> dict[str, Any]:
    """Encode a picture as codes."""
    model, fit_size = service.model, service.model.size if fit else None
    data = await image.read()
    picture = await open_picture(data, "image", service, fit=fit_size, accepts=lambda size: can_draw(size, model))
    codes = await call_on_worker(request, service, lambda: model.tokenize(picture))
    return {"codes": codes.tolist(), "size": list(model.parts.layout.size_of(codes.shape))}


@router.post("/render")
async def render(body: schemas.Render, request: Request, service: Serving) -> dict[str, Any]:
    """Render a grid of codes as a picture."""
    model = service.model
    codes, params = fields.read_codes(model, body.codes), fields.read_params(model, body.sampling_fields())
    if body.prompt:
        check_prompt(body.prompt)
    warnings.warn_unused("rendering", body, request, model)
    job = Job(drawing.render(model.parts, codes, choose_seed(body.seed), params, body.prompt or ""))
    (end,) = await finished(request, await service.subscription(request, [job], body.prompt or ""))
    made = await as_json(end.result, PromptInfo(body.prompt or "", draws=False), service)
    return made | warnings.as_field([*warnings.warnings_of(request), *made.get("warnings", [])])


@router.post("/read")
async def read(request: Request, service: Serving, image: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Read from a PNG how it was drawn, if this model drew it and it was not changed since."""
    data, model = await image.read(), service.model
    try:
        picture = await open_picture(data, "image", service, accepts=lambda size: can_draw(size, model))
    except WrongSizeError as problem:
        message = "this model does not draw pictures of this size"
        raise ApiError(404, message, "no_metadata", "image") from problem
    recognised = await recognise(data, picture, "the picture", request, service)
    if recognised.drawing is None:
        message = recognised.note or "the picture does not say how it was drawn"
        raise ApiError(404, message, "no_metadata", "image")
    return metadata.describe(recognised.drawing) | {"digest": recognised.drawing.model}


@router.post("/caption")
async def caption(body: schemas.Caption, request: Request, service: Serving) -> dict[str, str]:
    """Describe a picture in words."""
    model = service.model
    require(model.folder, "captioning")
    codes = fields.read_codes(model, body.codes)
    await judge_codes(codes, "codes", request, service)

    def task() -> Task[Caption]:
        denoised = (yield from captions.denoise_codes(model.parts, codes)) if body.encoded else codes
        return (yield from captions.caption_codes(model.parts, denoised, body.language))

    return {"caption": await result_of(request, service, Job(task()))}


def check_caption(caption: str, param: str) -> None:
    """Check the caption of an example like a prompt.

    Raises:
        ApiError: it is empty or too long; names its field.
    """
    try:
        check_prompt(caption)
    except PromptError as problem:
        message = str(problem).replace("the prompt", param, 1)
        raise ApiError(400, message, "invalid_prompt", param) from problem


@dataclass(frozen=True)
class PromptInfo:
    """What an answer needs to know about its picture's prompt.

    Attributes:
        prompt: the text that the model reads.
        draws: whether it names what to draw, which an instruction need not.
        composite: whether the picture contains a part of the client's picture.
        context: other texts that the model reads: captions of examples.
    """

    prompt: str
    draws: bool = True
    composite: bool = False
    context: Sequence[str] = ()


async def stream(
    service: Service,
    request: Request,
    task: Task[Any],
    body: schemas.Draw | schemas.Redraw | schemas.Instruct,
    grid: Grid,
    info: PromptInfo,
) -> Stream:
    """Run a task that draws one picture, and stream its progress after each row of codes."""
    previews = "never" if body.previews is False else "if quiet"
    job = Job(task, each_row(service.model.folder.prefixes or grid[1]), previews=previews)
    subscription = await service.subscription(request, [job], "\n".join([*info.context, info.prompt]))
    return Stream(events(subscription, service, warnings.warnings_of(request), info), subscription, service.count_error)


async def events(
    subscription: Subscription, service: Service, request_warnings: Sequence[str], info: PromptInfo
) -> AsyncIterator[dict[str, Any] | None]:
    """The events of one picture: its place in the queue, its codes so far, the finished picture."""
    (job,) = subscription.jobs
    waiting = True
    if place := subscription.worker.place(job):
        yield queued_event(place)
    async for _, event in subscription.follow(QUEUED_EVERY_S):
        if isinstance(event, Started):
            waiting = False
        elif event is None:
            place = subscription.worker.place(job) if waiting else None
            yield queued_event(place) if place else None
        elif isinstance(event, Progress) and event.codes is not None:
            preview = await asyncio.to_thread(files.encode_preview, event.preview) if event.preview else None
            yield {
                "type": "codes",
                "codes": event.codes.tolist(),
                "done": known(event.ids),
                "total": event.total,
                "preview": files.in_base64(preview) if preview else None,
            }
        elif isinstance(event, Done):
            picture = await as_json(pictures_in(event.result)[0], info, service)
            picture |= warnings.as_field([*request_warnings, *picture.get("warnings", [])])
            yield {"type": "completed", "picture": picture}


def queued_event(place: tuple[int, float]) -> dict[str, Any]:
    """The event that says how many jobs are ahead, and for how many seconds."""
    return {"type": "queued", "place": place[0], "wait_s": round(place[1], 2)}


async def as_json(picture: Picture, info: PromptInfo, service: Service) -> dict[str, Any]:
    """A finished picture with its file, unknown words and warnings."""
    file = await service.encode(picture, composite=info.composite)
    notes = notes_on(picture, service.model, info)
    return files.as_json(picture, file) | {"model": service.model.name} | notes


def notes_on(picture: Picture, model: Model, info: PromptInfo) -> dict[str, Any]:
    """The fields for words that the model was not trained on, and for warnings about the prompt."""
    return files.unknown_words(picture) | warnings.as_field(model.parts.layout.warnings(picture.prompt, info.draws))


async def read_control(part: schemas.ControlPart, size: Size, service: Service) -> Control:
    """Read a control picture for a drawing of that size.

    Raises:
        ImageError: it can't be read, or has another size.
    """
    data = await asyncio.to_thread(uploads.from_url, part.picture, "control.picture")
    try:
        picture = await open_picture(
            data, "control.picture", service, accepts=lambda found: belongs(found, size, service.model)
        )
    except WrongSizeError as problem:
        message = "control.picture has {}x{} pixels, but the drawing {}x{}".format(*problem.size, *size)
        raise ImageError(message, "scale it to the drawing's size") from problem
    return Control(picture, part.kind, part.scale)
