"""OpenAI's edits: a picture with a mask is filled, one without is changed as told."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from PIL.Image import Image
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from lantu import editing, images
from lantu.pipeline import Model
from lantu.server import gallery, schemas, wishes
from lantu.server.errors import ApiError
from lantu.server.service import ERRORS, Service, Serving, images_told, opened
from lantu.server.shown import shown as seen
from lantu.server.tickets import Ticket
from lantu.types import Picture

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS))
PICTURES = ("image", "image[]")
FILE = {"type": "string", "format": "binary"}


def body_told() -> dict[str, Any]:
    """The multipart body, for the published schema."""
    told = schemas.Edit.model_json_schema()
    files = {"image": FILE, "image[]": {"type": "array", "items": FILE}, "mask": FILE}
    told["properties"] = files | told["properties"]
    return {"required": True, "content": {"multipart/form-data": {"schema": told}}}


@router.post(
    "/edits",
    response_class=Response,
    responses=images_told("image_edit"),
    openapi_extra={"requestBody": body_told()},
)
async def edits(request: Request, service: Serving) -> Response:
    """Draw a part of a picture anew (where ``mask`` is transparent), or change it as told.

    A part needs a model that has learnt filling, a change one that has learnt talking.
    """
    async with request.form(max_files=20, max_fields=100) as form:
        body = read_fields(form)
        gallery.check(body, service)
        ability = "filling" if isinstance(form.get("mask"), UploadFile) else "talking"
        wishes.needs(service.model, ability)
        fit = bool(body.fit)
        shown = [await seen(await file.read(), "image", request, service, fit) for file in pictures_of(form)]
        mask = await mask_of(form, service)
    model, size = service.model, shown[0].image.size
    if body.size not in (None, "auto") and wishes.parse_size(body.size, model) != size:
        message = "an edit is as large as its picture, {}x{}: leave size out".format(*size)
        raise ApiError(400, message, "unsupported_value", "size")
    tickets = filled(body, model, shown, mask) if mask else told(body, model, shown)
    read = sum(picture.codes.size for picture in shown)
    how = gallery.form_of("image_edit", body, size, len(model.parts.text.encode(body.prompt)), read)
    return await gallery.answer(service, request, tickets, how)


def filled(body: schemas.Edit, model: Model, shown: list[Picture], mask: Image) -> list[Ticket]:
    """Tickets for a part that is drawn anew, of the first picture."""
    if len(shown) > 1:
        raise ApiError(400, "a mask is for one picture: send one", "unsupported_value", "image")
    picture = shown[0]
    if body.fit and mask.size != picture.image.size:
        mask = images.fit(mask, *picture.image.size)
    return wishes.fillings(
        model,
        picture.codes,
        editing.cells(picture.image.size, model.patch, None, mask),
        body.prompt,
        body.n or 1,
        body.seed,
        body.dials(),
        before=picture.image,
        marks=wishes.evenly(body.partial_images or 0 if body.stream else 0),
        sketched="always" if body.stream else "never",
    )


def told(body: schemas.Edit, model: Model, shown: list[Picture]) -> list[Ticket]:
    """Tickets for pictures that are changed as told."""
    return wishes.changes(
        model,
        shown,
        body.prompt,
        body.n or 1,
        body.seed,
        body.dials(),
        marks=wishes.evenly(body.partial_images or 0 if body.stream else 0),
        sketched="always" if body.stream else "never",
    )


def read_fields(form: FormData) -> schemas.Edit:
    """All that is no picture; "" and "null" are as if they were not there.

    Raises:
        RequestValidationError: it doesn't fit.
    """
    fields = {name: value for name, value in form.multi_items() if name not in (*PICTURES, "mask")}
    fields = {name: value for name, value in fields.items() if value not in ("", "null")}
    try:
        return schemas.Edit.model_validate(fields)
    except ValidationError as problem:
        raise RequestValidationError(problem.errors()) from problem


def pictures_of(form: FormData) -> list[UploadFile]:
    """The pictures, in the order in which they were sent.

    Raises:
        ApiError: there are none, or one is no file.
    """
    files = [value for name, value in form.multi_items() if name in PICTURES]
    if not files:
        raise ApiError(422, "image: a picture is missing", "invalid_parameter", "image")
    if any(isinstance(file, str) for file in files):
        raise ApiError(422, "image: send it as a file", "invalid_parameter", "image")
    return [file for file in files if isinstance(file, UploadFile)]


async def mask_of(form: FormData, service: Service) -> Image | None:
    """The mask, if there is one: RGBA."""
    file = form.get("mask")
    if not isinstance(file, UploadFile):
        return None
    return await opened(await file.read(), "mask", service, keep_alpha=True)
