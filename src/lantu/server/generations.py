"""OpenAI's images from words."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lantu.server import gallery, schemas, wishes
from lantu.server.bodies import Route
from lantu.server.service import ERRORS, Serving, images_told
from lantu.server.shown import asked_size

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS), route_class=Route)


@router.post("/generations", response_class=Response, responses=images_told("image_generation"))
async def generations(body: schemas.Generation, request: Request, service: Serving) -> Response:
    """Draw pictures. With ``stream`` partial ones come first."""
    gallery.check(body, request, service)
    model, partial = service.model, body.partial_images or 0
    size = asked_size(body.size, request, model)
    tickets = wishes.drawings(
        model,
        body.prompt,
        body.n or 1,
        body.seed,
        size,
        body.dials(),
        marks=wishes.evenly(partial if body.stream else 0),
        sketched="always" if body.stream else "never",
    )
    form = gallery.form_of("image_generation", body, size, len(model.parts.text.encode(body.prompt)))
    return await gallery.answer(service, request, tickets, form)
