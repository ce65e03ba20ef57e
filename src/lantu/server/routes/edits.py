"""OpenAI's edits: a picture with a mask is filled, one without is changed by an instruction."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from PIL.Image import Image
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from lantu.engine.seeds import derive_seeds
from lantu.errors import ImageError
from lantu.models.spec import Size
from lantu.models.validation import require
from lantu.pipeline import Model
from lantu.server import uploads
from lantu.server.http.bodies import Route
from lantu.server.http.errors import ApiError
from lantu.server.routes import fields, schemas
from lantu.server.routes import image_answers as gallery
from lantu.server.routes import unsupported as refused
from lantu.server.routes.intake import WrongSize, affordable, opened
from lantu.server.routes.pictures import shown as seen
from lantu.server.service import ERRORS, Service, Serving, images_schema
from lantu.tasks import edit, masks
from lantu.tasks.effects import Task
from lantu.types import Picture

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS), route_class=Route)
PICTURES = ("image", "image[]")
FILE = {"type": "string", "format": "binary"}
Body = TypeVar("Body", bound=schemas.Edit)


@dataclass(frozen=True)
class Asked:
    """An edit as a client sends it, in either form of body.

    Attributes:
        body: all that is no picture.
        pictures: their files, in the order in which they were sent.
        mask: its file, if there is one.
    """

    body: schemas.Edit
    pictures: list[bytes]
    mask: bytes | None


def body_told() -> dict[str, Any]:
    """Both bodies, for the published schema."""
    told = schemas.Edit.model_json_schema()
    files = {"image": FILE, "image[]": {"type": "array", "items": FILE}, "mask": FILE}
    told["properties"] = files | told["properties"]
    as_json = schemas.JsonEdit.model_json_schema(ref_template="#/components/schemas/{model}")
    as_json.pop("$defs", None)
    as_json["properties"]["images"]["items"] = reference = schemas.Reference.model_json_schema()
    as_json["properties"]["mask"] = {"anyOf": [reference, {"type": "null"}]}
    content = {"multipart/form-data": {"schema": told}, "application/json": {"schema": as_json}}
    return {"required": True, "content": content}


@router.post(
    "/edits",
    response_class=Response,
    responses=images_schema("image_edit"),
    openapi_extra={"requestBody": body_told()},
)
async def edits(request: Request, service: Serving) -> Response:
    """Draw a part of a picture anew (where ``mask`` is transparent), or change it by an instruction.

    A part needs a model that has learnt filling, a change one that has learnt talking.
    """
    asked = await read(request)
    body, model = asked.body, service.model
    gallery.check(body, request, service)
    require(model.folder, "talking" if asked.mask is None else "filling")
    await affordable([("image", file) for file in asked.pictures], service)
    shown = [await seen(file, "image", request, service, bool(body.fit)) for file in asked.pictures]
    size = shown[0].image.size
    mask = None if asked.mask is None else await mask_of(asked.mask, size, bool(body.fit), service)
    if body.size not in (None, "auto") and fields.read_size(body.size, model, []) != size:
        message = "an edit is as large as its picture, {}x{}: leave size out".format(*size)
        raise ApiError(400, message, "unsupported_value", "size")
    tasks = fillings(body, model, shown, mask) if mask else changes(body, model, shown)
    words, read_ids = model.parts.layout.count_tokens(body.prompt), sum(picture.codes.size for picture in shown)
    form = gallery.form_of("image_edit", body, size, words, read_ids, draws=bool(mask), mixed=bool(mask))
    return await gallery.answer(service, request, gallery.jobs_of(tasks, body), form)


def fillings(body: schemas.Edit, model: Model, shown: list[Picture], mask: Image) -> list[Task[Picture]]:
    """A part of the picture, drawn anew."""
    if len(shown) > 1:
        raise ApiError(400, "a mask is for one picture: send one", "unsupported_value", "image")
    picture, params = shown[0], fields.read_params(model, body.dials())
    holes = masks.cells(picture.image.size, model.folder.patch, None, mask)
    return [
        edit.fill(model.parts, picture.codes, holes, body.prompt, seed, params, picture.image)
        for seed in derive_seeds(body.seed, body.n or 1)
    ]


def changes(body: schemas.Edit, model: Model, shown: list[Picture]) -> list[Task[edit.Changed]]:
    """Pictures that are changed by an instruction."""
    params = fields.read_params(model, body.dials())
    seeds = derive_seeds(body.seed, body.n or 1)
    return [edit.instruct(model.parts, shown, body.prompt, seed, params) for seed in seeds]


async def read(request: Request) -> Asked:
    """The body, in either of its forms.

    Raises:
        RequestValidationError, ApiError: it does not fit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=schemas.MOST_PICTURES + 4, max_fields=100) as form:
            return await read_form(form)
    if kind == "application/json":
        return await read_json(request)
    message = "send the picture and its fields as multipart/form-data, or as JSON with data: URLs"
    raise ApiError(400, message, "invalid_parameter")


async def read_form(form: FormData) -> Asked:
    """A multipart body; fields that are "" or "null" are as if they were not there."""
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in (*PICTURES, "mask") or value in ("", "null"):
            continue
        if name in fields:
            raise ApiError(400, f"{name}: it was sent twice", "invalid_parameter", name)
        fields[name] = value
    body = validated(schemas.Edit, fields)
    pictures = [value for name in PICTURES for value in form.getlist(name)]
    masks = [value for value in form.getlist("mask") if value not in ("", "null")]
    if not pictures:
        raise ApiError(400, "image: a picture is missing", "invalid_parameter", "image")
    if len(pictures) > schemas.MOST_PICTURES:
        raise ApiError(400, f"image: {schemas.MOST_PICTURES} are the most", "invalid_parameter", "image")
    if len(masks) > 1:
        raise ApiError(400, "mask: one is the most", "invalid_parameter", "mask")
    mask = await file_of(masks[0], "mask") if masks else None
    return Asked(body, [await file_of(value, "image") for value in pictures], mask)


async def file_of(value: UploadFile | str, param: str) -> bytes:
    """The bytes of a file, or of a data: URL in a field of text."""
    if isinstance(value, UploadFile):
        return await value.read()
    if not value.lstrip()[:5].lower() == "data:":
        raise ApiError(400, f"{param}: send it as a file, or as a data: URL", "invalid_parameter", param)
    return await asyncio.to_thread(uploads.from_url, value, param)


async def read_json(request: Request) -> Asked:
    """A body of JSON, as OpenAI has it too."""
    try:
        parsed = await request.json()
    except json.JSONDecodeError as problem:
        raise ApiError(400, "the body is not JSON", "invalid_json") from problem
    body = validated(schemas.JsonEdit, parsed)
    pictures = [await referred(one, f"images.{place}") for place, one in enumerate(body.images)]
    return Asked(body, pictures, None if body.mask is None else await referred(body.mask, "mask"))


async def referred(one: schemas.Reference, param: str) -> bytes:
    """The bytes of a picture that a body of JSON holds."""
    if one.file_id is not None:
        raise refused.refuse(f"{param}.file_id", "can't be had here: send image_url with a data: URL")
    if one.image_url is None:
        raise ApiError(400, f"{param}.image_url: it is required", "invalid_parameter", f"{param}.image_url")
    return await asyncio.to_thread(uploads.from_url, one.image_url, f"{param}.image_url")


def validated(schema: type[Body], fields: Any) -> Body:
    """A body as its schema has it.

    Raises:
        RequestValidationError: it doesn't fit.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as problem:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in problem.errors()]
        raise RequestValidationError(errors, body=fields) from problem


async def mask_of(data: bytes, size: Size, fit: bool, service: Service) -> Image:
    """The mask of a picture of that size: RGBA."""
    if fit:
        return await opened(data, "mask", service, alpha=True, fit=size)
    try:
        return await opened(data, "mask", service, alpha=True, sizes=lambda own: own == size)
    except WrongSize as problem:
        message = "the mask has {}x{} pixels, the picture {}x{}".format(*problem.size, *size)
        raise ImageError(
            message, "send a mask of the picture's size, or have it scaled and cropped: fit=true"
        ) from problem
