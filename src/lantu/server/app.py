"""Joins the routes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from lantu import __version__
from lantu.pipeline import Model
from lantu.server import page, service
from lantu.server.http import errors
from lantu.server.http.guard import Guard
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.routes import chat, edits, generations, native_api
from lantu.server.service import Service
from lantu.server.worker.worker import Worker


def make(load: Callable[[], Model], options: Options | None = None) -> FastAPI:
    """The server as an ASGI app.

    Args:
        load: opens the model; called on the worker's thread, when the app starts.
    """
    options = options or Options()
    metrics = Metrics()
    worker = Worker(load, options, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        await serving.sandbox.end()
        worker.stop()

    # The framework's own pages of documentation load scripts from elsewhere: there are none.
    app = FastAPI(title="lantu", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = serving = Service(options, metrics, worker)
    for routes in (service, generations, edits, chat, native_api):
        app.include_router(routes.router)
    app.include_router(page.router)
    page.mount(app)
    errors.install(app, serving.count)
    app.openapi = lambda: published(app)  # type: ignore[method-assign]
    app.add_middleware(Guard, service=serving)
    return app


def published(app: FastAPI) -> dict[str, Any]:
    """The schema; the framework's own error, 422, is never answered."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        for path in schema["paths"].values():
            for method in path.values():
                method["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
    return app.openapi_schema or {}
