"""The parts of a server that its routes share."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

from fastapi import Depends, Request

from lantu.pipeline import Model
from lantu.server import files
from lantu.server.files import PictureStore
from lantu.server.filter import Filter
from lantu.server.http.errors import ApiError
from lantu.server.http.memory import BodyMemory
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.sandbox import Sandbox
from lantu.server.subscription import Subscription, finished
from lantu.server.worker.jobs import Job, call_job
from lantu.server.worker.runner import Runner
from lantu.server.worker.unavailable import Loading
from lantu.types import Picture


class Service:
    """The parts of a server."""

    def __init__(self, options: Options, metrics: Metrics, worker: Runner):
        self.options, self.metrics, self.worker = options, metrics, worker
        self.pictures = PictureStore(options.max_kept)
        self.filter = Filter(options.refused_phrases, options.judge, metrics, options.timeout_s)
        self.sandbox, self.body_memory = Sandbox(), BodyMemory()

    def now(self) -> "Service":
        """The service of one request, whose model stays the same; see ``Runner.now``."""
        worker = self.worker.now()
        if worker is self.worker:
            return self
        service = copy.copy(self)
        service.worker = worker
        return service

    @property
    def model(self) -> Model:
        """The model.

        Raises:
            Loading: it is not loaded yet.
        """
        if not self.worker.ready.is_set():
            raise Loading
        return self.worker.model

    def check_model(self, name: str | None) -> None:
        """Check that a request names the served model, or none.

        Raises:
            ApiError: it names another.
        """
        if name is not None and name != self.model.name:
            message = f"there is no model called {name}: this server has {self.model.name}"
            raise ApiError(404, message, "model_not_found", "model")

    async def subscription(self, request: Request, jobs: Sequence[Job], text: str = "") -> Subscription:
        """Filter a request's text and submit its jobs. Everything that is drawn or answered goes through here.

        Args:
            text: all text of the client's that the model will read.

        Raises:
            Refused: the content filter refuses the text.
            Draining, Loading, QueueFull: the worker accepts no jobs.
        """
        if text:
            await self.filter.check_prompt(self.with_names(text))
        return Subscription(self.worker, jobs, request.state.client, self.options.timeout_s, self.filter)

    def with_names(self, text: str) -> str:
        """A text, and how the model reads it if it has emoji: an emoji is no way around a word that is refused."""
        lexicon = None if text.isascii() else getattr(self.model.parts.layout, "lexicon", None)
        read = "\n".join(map(lexicon.expand, text.split("\n"))) if lexicon else text
        return text if read == text else f"{text}\n{read}"

    async def encode(
        self, picture: Picture, form: str = "png", quality: int | None = None, composite: bool = False
    ) -> bytes:
        """A finished picture's file, signed if this server signs; see ``files.encode``.

        Args:
            composite: whether it contains a part of a client's picture.
        """

        def encode() -> bytes:
            data, signer = files.encode(picture, form, quality), self.options.signer
            return signer.sign(data, form, self.model.name, picture.model, composite) if signer else data

        return await asyncio.to_thread(encode)

    def count_error(self, code: str) -> None:
        """Count an error in the metrics."""
        self.metrics.errors.labels(code).inc()


async def service_of(request: Request) -> AsyncIterator[Service]:
    """The service of the app that handles a request, for this request."""
    service: Service = request.app.state.service.now()
    try:
        yield service
    finally:
        service.worker.release()


Serving = Annotated[Service, Depends(service_of)]


async def call_on_worker(request: Request, service: Service, function: Callable[[], Any]) -> Any:
    """Call a function on the worker's thread and return its value."""
    return await result_of(request, service, call_job(function))


async def result_of(request: Request, service: Service, job: Job) -> Any:
    """Run a job that reads no text of the client's, and return its task's result."""
    (end,) = await finished(request, await service.subscription(request, [job]))
    return end.result
