"""OpenAI's images from words."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lantu.server import gallery, schemas, wishes
from lantu.server.service import ERRORS, Serving, images_told

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS))


@router.post("/generations", response_class=Response, responses=images_told("image_generation"))
async def generations(body: schemas.Generation, request: Request, service: Serving) -> Response:
    """Draw pictures. With ``stream`` partial ones come first."""
    gallery.check(body, service)
    model, partial = service.model, body.partial_images or 0
    size = wishes.parse_size(body.size, model)
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
