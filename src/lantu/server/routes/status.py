"""Routes about the server itself: health, readiness, metrics, the model, and pictures fetched by URL."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from lantu.pipeline import Model
from lantu.server.http.errors import ApiError
from lantu.server.routes.openapi import ERRORS
from lantu.server.service import Serving

router = APIRouter(responses=dict(ERRORS))


@router.get("/health", tags=["service"])
async def health(service: Serving) -> dict[str, str]:
    """Whether the process works."""
    if service.worker.problem:
        raise ApiError(503, "the model can't be loaded; see the server's log", "broken")
    return {"status": "ok"}


@router.get("/ready", tags=["service"])
async def ready(service: Serving) -> dict[str, Any]:
    """Whether the server accepts requests: the model is loaded, and the server is not shutting down."""
    if service.worker.draining:
        raise ApiError(503, "the server is shutting down", "draining", retry_s=5)
    return {"status": "ready", "model": service.model.name}


@router.get("/metrics", tags=["service"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Serving) -> Response:
    """Metrics for Prometheus."""
    return Response(await service.worker.metrics_page(), media_type="text/plain; version=0.0.4")


@router.get("/v1/models", tags=["openai"])
async def models(service: Serving) -> dict[str, Any]:
    """List the model that is served."""
    return {"object": "list", "data": [as_json(service.model)]}


@router.get("/v1/models/{name}", tags=["openai"])
async def model(name: str, service: Serving) -> dict[str, Any]:
    """Describe the model that is served."""
    service.check_model(name)
    return as_json(service.model)


def as_json(model: Model) -> dict[str, Any]:
    """A model in OpenAI's form."""
    created, digest = model.folder.created, model.digest
    return {"id": model.name, "object": "model", "created": created, "owned_by": "lantu", "digest": digest}


@router.get(
    "/pictures/{name}",
    tags=["openai"],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in ("image/png", "image/jpeg", "image/webp")}}},
)
async def picture(name: str, service: Serving) -> Response:
    """A picture requested with ``response_format: "url"``. The server keeps the newest ones."""
    if kept := service.pictures.get(name):
        return Response(kept[0], media_type=kept[1])
    raise ApiError(404, "there is no such picture, or it is no longer kept", "not_found")
