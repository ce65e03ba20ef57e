"""What every route shares, and the routes that say how the server is."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from lantu.pipeline import Model
from lantu.server import files
from lantu.server.files import Shelf
from lantu.server.filter import Filter
from lantu.server.http.errors import ApiError
from lantu.server.http.memory import Trimmer
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.routes.schemas import Error
from lantu.server.sandbox import Sandbox
from lantu.server.subscription import Subscription, finished
from lantu.server.worker.jobs import Job, work
from lantu.server.worker.unavailable import Loading
from lantu.server.worker.worker import Worker
from lantu.types import Picture


class Service:
    """The parts of a server, for its routes."""

    def __init__(self, options: Options, metrics: Metrics, worker: Worker):
        self.options, self.metrics, self.worker = options, metrics, worker
        self.shelf = Shelf(options.kept)
        self.filter = Filter(options.refused, options.judge, metrics, options.timeout_s)
        self.sandbox, self.trimmer = Sandbox(), Trimmer()
        self.bodies = 0  # bytes of requests on their way

    @property
    def model(self) -> Model:
        """The model.

        Raises:
            Loading: it is not there yet.
        """
        if not self.worker.ready.is_set():
            raise Loading
        return self.worker.model

    def check_model(self, name: str | None) -> None:
        """Whether this is the model that is served; None is.

        Raises:
            ApiError: it is another.
        """
        if name is not None and name != self.model.name:
            message = f"no model called {name}: this server has {self.model.name}"
            raise ApiError(404, message, "model_not_found", "model")

    async def subscription(self, request: Request, jobs: Sequence[Job], words: str = "") -> Subscription:
        """Submit jobs for a client. All that is drawn, read or answered goes through here.

        Args:
            words: all words that the model will read.

        Raises:
            Refused: the words are not to be drawn.
            Draining, Loading, Crowded: the worker takes none of them.
        """
        if words:
            await self.filter.check_prompt(words)
        return Subscription(self.worker, jobs, request.state.client, self.options.timeout_s, self.filter)

    async def encode(
        self, picture: Picture, form: str = "png", quality: int | None = None, mixed: bool = False
    ) -> bytes:
        """A finished picture's file, signed where this server signs; see ``files.encode``.

        Args:
            mixed: whether a part of a client's picture is in it.
        """

        def work() -> bytes:
            data, signer = files.encode(picture, form, quality), self.options.signer
            return signer.sign(data, form, self.model.name, picture.model, mixed) if signer else data

        return await asyncio.to_thread(work)

    def count(self, code: str) -> None:
        """Count an error."""
        self.metrics.errors.labels(code).inc()


def service_of(request: Request) -> Service:
    return request.app.state.service


Serving = Annotated[Service, Depends(service_of)]
DESCRIPTIONS = {
    400: "Unreadable, invalid or unsupported",
    401: "No valid API key",
    403: "A page of another origin, or another host name",
    404: "No such model, picture or route",
    408: "The body did not come",
    413: "The body is too large",
    429: "The queue is full",
    500: "Internal error",
    503: "The server starts, shuts down, or took too long",
}


def answers(*others: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the published schema."""
    return {status: {"model": Error, "description": DESCRIPTIONS[status]} for status in (*DESCRIPTIONS, *others)}


ERRORS: Mapping[int | str, dict[str, Any]] = answers()
router = APIRouter(responses=dict(ERRORS))


@router.get("/health", tags=["service"])
async def health(service: Serving) -> dict[str, str]:
    """The process lives."""
    if service.worker.problem:
        raise ApiError(503, "the model can't be loaded; see the server's log", "broken")
    return {"status": "ok"}


@router.get("/ready", tags=["service"])
async def ready(service: Serving) -> dict[str, Any]:
    """It takes requests: the model is loaded, and the server is not shutting down."""
    if service.worker.draining:
        raise ApiError(503, "the server is shutting down", "draining", retry_s=5)
    return {"status": "ready", "model": service.model.name}


@router.get("/metrics", tags=["service"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Serving) -> Response:
    """For Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


@router.get("/v1/models", tags=["openai"])
async def models(service: Serving) -> dict[str, Any]:
    """The one model that is served."""
    return {"object": "list", "data": [described(service.model)]}


@router.get("/v1/models/{name}", tags=["openai"])
async def model(name: str, service: Serving) -> dict[str, Any]:
    """What there is to know of it."""
    service.check_model(name)
    return described(service.model)


def described(model: Model) -> dict[str, Any]:
    created, digest = model.folder.created, model.digest
    return {"id": model.name, "object": "model", "created": created, "owned_by": "lantu", "digest": digest}


@router.get(
    "/pictures/{name}",
    tags=["openai"],
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in ("image/png", "image/jpeg", "image/webp")}}},
)
async def picture(name: str, service: Serving) -> Response:
    """A picture that was asked for with ``response_format: "url"``; kept until newer ones take its place."""
    if found := service.shelf.get(name):
        return Response(found[0], media_type=found[1])
    raise ApiError(404, "no such picture, or it is no longer kept", "not_found")


async def computed(request: Request, service: Service, function: Callable[[], Any]) -> Any:
    """The value of a function that is called on the worker's thread."""
    return await result_of(request, service, work(function))


async def result_of(request: Request, service: Service, job: Job) -> Any:
    """What a task returns that reads no words of the client's."""
    (end,) = await finished(request, await service.subscription(request, [job]))
    return end.result


def images_schema(event: str) -> dict[int | str, dict[str, Any]]:
    """What an image route answers, for the published schema."""
    events = {"type": "string", "description": f"{event}.partial_image, {event}.completed, [DONE]"}
    body = {"type": "object", "required": ["created", "data", "usage"]}
    return {200: {"content": {"application/json": {"schema": body}, "text/event-stream": {"schema": events}}}}


def chat_schema() -> dict[int | str, dict[str, Any]]:
    """What a conversation's route answers, for the published schema."""
    body = {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"]}
    events = {"type": "string", "description": "chat.completion.chunk objects, [DONE]"}
    return {200: {"content": {"application/json": {"schema": body}, "text/event-stream": {"schema": events}}}}
