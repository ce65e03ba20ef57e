"""OpenAI's images from words."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lantu.engine.seeds import derive_seeds
from lantu.server.http.bodies import Route
from lantu.server.routes import fields, schemas
from lantu.server.routes import image_answers as gallery
from lantu.server.routes.pictures import asked_size
from lantu.server.service import ERRORS, Serving, images_schema
from lantu.tasks.draw import draw

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS), route_class=Route)


@router.post("/generations", response_class=Response, responses=images_schema("image_generation"))
async def generations(body: schemas.Generation, request: Request, service: Serving) -> Response:
    """Draw pictures. With ``stream`` partial ones come first."""
    gallery.check(body, request, service)
    parts = service.model.parts
    size, params = asked_size(body.size, request, service.model), fields.read_params(service.model, body.dials())
    grid = parts.layout.grid_of(size)
    tasks = [draw(parts, body.prompt, seed, grid, params) for seed in derive_seeds(body.seed, body.n or 1)]
    form = gallery.form_of("image_generation", body, size, parts.layout.count_tokens(body.prompt))
    return await gallery.answer(service, request, gallery.jobs_of(tasks, body), form)
