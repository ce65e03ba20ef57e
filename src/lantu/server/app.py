"""Builds the ASGI app from the routes and the middleware."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from lantu import __version__
from lantu.pipeline import Model
from lantu.server import page
from lantu.server.http import errors
from lantu.server.http.guard import Guard
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.routes import chat, edits, generations, native_api, status
from lantu.server.service import Service
from lantu.server.worker.runner import Runner
from lantu.server.worker.worker import Worker


def make(load: Callable[[], Model], options: Options | None = None) -> FastAPI:
    """The server of a model on this machine, as an ASGI app.

    Args:
        load: opens the model; called on the worker's thread when the app starts.
    """
    options, metrics = options or Options(), Metrics()
    return build(Worker(load, options, metrics), options, metrics)


def build(worker: Runner, options: Options, metrics: Metrics) -> FastAPI:
    """The server as an ASGI app.

    Args:
        worker: runs the jobs; started and stopped with the app.
    """
    service = Service(options, metrics, worker)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        await service.sandbox.end()
        worker.stop()

    # The framework's documentation pages are off, because they load scripts from other hosts.
    app = FastAPI(title="lantu", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    for routes in (status, generations, edits, chat, native_api):
        app.include_router(routes.router)
    app.include_router(page.router)
    page.mount(app)
    errors.install(app, service.count_error)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Guard, options=options, metrics=metrics, body_memory=service.body_memory)
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The published schema, without the framework's error 422, which this server never answers."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        for path in schema["paths"].values():
            for method in path.values():
                method["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
    return app.openapi_schema or {}
