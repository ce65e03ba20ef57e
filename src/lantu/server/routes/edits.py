"""OpenAI's edits: a picture with a mask is filled in, one without a mask is changed as the prompt instructs."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from PIL.Image import Image, Resampling
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
from lantu.server.routes import fields, image_answers, schemas, warnings
from lantu.server.routes.client_pictures import WrongSizeError, belongs, check_total_size, open_picture, read_picture
from lantu.server.routes.image_answers import AnswerFormat
from lantu.server.routes.openapi import ERRORS, images_schema
from lantu.server.routes.unsupported import unsupported
from lantu.server.service import Service, Serving
from lantu.tasks import edit, masks
from lantu.tasks.effects import Task
from lantu.types import Picture

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS), route_class=Route)
PICTURE_FIELDS = ("image", "image[]")
FILE = {"type": "string", "format": "binary"}
Body = TypeVar("Body", bound=schemas.Edit)


@dataclass(frozen=True)
class EditRequest:
    """A request to edit, from either form of body.

    Attributes:
        body: its fields other than pictures.
        pictures: the pictures' files, in the order in which they were sent.
        mask: the mask's file; None if there is none.
    """

    body: schemas.Edit
    pictures: list[bytes]
    mask: bytes | None


def body_schema() -> dict[str, Any]:
    """Both forms of body, for the published schema."""
    as_form = schemas.Edit.model_json_schema()
    files = {"image": FILE, "image[]": {"type": "array", "items": FILE}, "mask": FILE}
    as_form["properties"] = files | as_form["properties"]
    as_json = schemas.JsonEdit.model_json_schema(ref_template="#/components/schemas/{model}")
    as_json.pop("$defs", None)
    as_json["properties"]["images"]["items"] = reference = schemas.Reference.model_json_schema()
    as_json["properties"]["mask"] = {"anyOf": [reference, {"type": "null"}]}
    content = {"multipart/form-data": {"schema": as_form}, "application/json": {"schema": as_json}}
    return {"required": True, "content": content}


@router.post(
    "/edits",
    response_class=Response,
    responses=images_schema("image_edit"),
    openapi_extra={"requestBody": body_schema()},
)
async def edits(request: Request, service: Serving) -> Response:
    """Redraw the part of a picture where ``mask`` is transparent, or change a picture as instructed.

    Redrawing needs a model with the ability "filling", instructions need "talking".
    """
    received = await read(request)
    body, model = received.body, service.model
    image_answers.check(body, request, service)
    require(model.folder, "talking" if received.mask is None else "filling")
    await check_total_size([("image", file) for file in received.pictures], service)
    pictures = [await read_picture(file, "image", request, service, bool(body.fit)) for file in received.pictures]
    size = pictures[0].image.size
    mask = None if received.mask is None else await read_mask(received.mask, size, bool(body.fit), service)
    if body.size not in (None, "auto") and fields.read_size(body.size, model) != size:
        message = "an edit has the size of its picture, {}x{}: leave size out".format(*size)
        raise ApiError(400, message, "unsupported_value", "size")
    warnings.warn_unused("filling" if mask else "an instruction", body, request, model)
    tasks = fill_tasks(body, model, pictures, mask) if mask else instruct_tasks(body, model, pictures)
    text_tokens = model.parts.layout.count_tokens(body.prompt)
    image_tokens = sum(picture.cells for picture in pictures)
    fills = mask is not None
    form = AnswerFormat("image_edit", body, size, text_tokens, image_tokens, draws=fills, composite=fills)
    return await image_answers.answer(service, request, image_answers.jobs_of(tasks, body), form)


def fill_tasks(body: schemas.Edit, model: Model, pictures: list[Picture], mask: Image) -> list[Task[Picture]]:
    """Tasks that redraw the masked part of a picture.

    Raises:
        ApiError: there are several pictures.
    """
    if len(pictures) > 1:
        raise ApiError(400, "a mask applies to one picture: send only one", "unsupported_value", "image")
    picture, params = pictures[0], fields.read_params(model, body.sampling_fields())
    holes = masks.cells(picture.image.size, model.folder.patch, None, mask)
    return [
        edit.fill(model.parts, picture.codes, holes, body.prompt, seed, params, picture.image)
        for seed in derive_seeds(body.seed, body.n or 1)
    ]


def instruct_tasks(body: schemas.Edit, model: Model, pictures: list[Picture]) -> list[Task[edit.Changed]]:
    """Tasks that change pictures as instructed."""
    params = fields.read_params(model, body.sampling_fields())
    seeds = derive_seeds(body.seed, body.n or 1)
    return [edit.instruct(model.parts, pictures, body.prompt, seed, params) for seed in seeds]


async def read(request: Request) -> EditRequest:
    """Read the body in either of its forms.

    Raises:
        RequestValidationError, ApiError, ImageError: it is not valid.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        async with request.form(max_files=schemas.MAX_PICTURES + 4, max_fields=100) as form:
            return await read_form(form)
    if content_type == "application/json":
        return await read_json(request)
    message = "send the picture and its fields as multipart/form-data, or as JSON with data: URLs"
    raise ApiError(400, message, "invalid_parameter")


async def read_form(form: FormData) -> EditRequest:
    """Read a multipart body; fields that are "" or "null" count as not given."""
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in (*PICTURE_FIELDS, "mask") or value in ("", "null"):
            continue
        if name in fields:
            raise ApiError(400, f"{name}: it was sent twice", "invalid_parameter", name)
        fields[name] = value
    body = validate(schemas.Edit, fields)
    pictures = [value for name in PICTURE_FIELDS for value in form.getlist(name)]
    masks = [value for value in form.getlist("mask") if value not in ("", "null")]
    if not pictures:
        raise ApiError(400, "image: the picture is missing", "invalid_parameter", "image")
    if len(pictures) > schemas.MAX_PICTURES:
        message = f"image: there are too many pictures, {schemas.MAX_PICTURES} is the limit"
        raise ApiError(400, message, "invalid_parameter", "image")
    if len(masks) > 1:
        raise ApiError(400, "mask: there can only be one", "invalid_parameter", "mask")
    mask = await file_of(masks[0], "mask") if masks else None
    return EditRequest(body, [await file_of(value, "image") for value in pictures], mask)


async def file_of(value: UploadFile | str, param: str) -> bytes:
    """The bytes of a file, or of a data: URL in a text field.

    Raises:
        ApiError, ImageError: it is neither.
    """
    if isinstance(value, UploadFile):
        return await value.read()
    if not value.lstrip()[:5].lower() == "data:":
        raise ApiError(400, f"{param}: send it as a file, or as a data: URL", "invalid_parameter", param)
    return await asyncio.to_thread(uploads.from_url, value, param)


async def read_json(request: Request) -> EditRequest:
    """Read a JSON body."""
    try:
        parsed = await request.json()
    except json.JSONDecodeError as problem:
        raise ApiError(400, "the body is not JSON", "invalid_json") from problem
    body = validate(schemas.JsonEdit, parsed)
    pictures = [await referenced_file(item, f"images.{place}") for place, item in enumerate(body.images)]
    return EditRequest(body, pictures, None if body.mask is None else await referenced_file(body.mask, "mask"))


async def referenced_file(reference: schemas.Reference, param: str) -> bytes:
    """The bytes of a picture in a JSON body.

    Raises:
        ApiError, ImageError: it is not a data: URL.
    """
    if reference.file_id is not None:
        raise unsupported(f"{param}.file_id", "is not supported here: send image_url with a data: URL")
    if reference.image_url is None:
        raise ApiError(400, f"{param}.image_url: it is required", "invalid_parameter", f"{param}.image_url")
    return await asyncio.to_thread(uploads.from_url, reference.image_url, f"{param}.image_url")


def validate(schema: type[Body], fields: Any) -> Body:
    """Validate a body.

    Raises:
        RequestValidationError: it does not match its schema.
    """
    try:
        return schema.model_validate(fields)
    except ValidationError as problem:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in problem.errors()]
        raise RequestValidationError(errors, body=fields) from problem


async def read_mask(data: bytes, size: Size, fit: bool, service: Service) -> Image:
    """Decode a mask, RGBA.

    Args:
        size: of the picture that it belongs to.
        fit: whether to scale and crop a mask of another size.

    Raises:
        ImageError: it can't be read, or has another size.
    """
    if fit:
        return await open_picture(data, "mask", service, alpha=True, fit=size)
    try:
        mask = await open_picture(
            data, "mask", service, alpha=True, accepts=lambda found: belongs(found, size, service.model)
        )
        return mask if mask.size == size else mask.resize(size, Resampling.NEAREST)
    except WrongSizeError as problem:
        message = "the mask has {}x{} pixels, but the picture {}x{}".format(*problem.size, *size)
        hint = "send a mask of the picture's size, or have it scaled and cropped: fit=true"
        raise ImageError(message, hint) from problem
