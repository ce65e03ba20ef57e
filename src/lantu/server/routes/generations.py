"""OpenAI's images from text."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lantu.engine.seeds import derive_seeds
from lantu.server.http.bodies import Route
from lantu.server.routes import fields, image_answers, schemas, warnings
from lantu.server.routes.image_answers import AnswerFormat
from lantu.server.routes.openapi import ERRORS, images_schema
from lantu.server.service import Serving
from lantu.tasks.draw import draw

router = APIRouter(prefix="/v1/images", tags=["openai"], responses=dict(ERRORS), route_class=Route)


@router.post("/generations", response_class=Response, responses=images_schema("image_generation"))
async def generations(body: schemas.Generation, request: Request, service: Serving) -> Response:
    """Draw pictures. With ``stream`` partial pictures come first."""
    image_answers.check(body, request, service)
    model, parts = service.model, service.model.parts
    size = warnings.read_size(body.size, request, model)
    params, grid = fields.read_params(model, body.sampling_fields()), parts.layout.grid_of(size)
    tasks = [draw(parts, body.prompt, seed, grid, params) for seed in derive_seeds(body.seed, body.n or 1)]
    form = AnswerFormat("image_generation", body, size, parts.layout.count_tokens(body.prompt))
    return await image_answers.answer(service, request, image_answers.jobs_of(tasks, body), form)
