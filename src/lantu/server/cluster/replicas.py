"""The two deployments of Ray Serve. Each replica is the worker of one machine (``worker.worker``), fed with effects.

Drafts of all callers go through the engine together; pictures that wait at the same time are rendered as a group. A
replica loads only what its stage needs: a drafter no decoder, unless a computation renders.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray import serve

from lantu.errors import ModelError
from lantu.pipeline import Model
from lantu.server.cluster.metrics import Numbers, numbers_of
from lantu.server.cluster.packing import pack, unpack
from lantu.server.cluster.settings import Settings
from lantu.server.metrics import Metrics
from lantu.server.options import Options
from lantu.server.worker.jobs import Done, Event, Failed, Job, Progress
from lantu.server.worker.worker import MAX_RENDERED_CODES, MAX_ROWS, Worker
from lantu.tasks.effects import Draft, Effect, Render, Task
from lantu.tasks.run import run_one

HOLD_S = 10.0  # a server that has not said for so long that it uses a model doesn't use it
PLENTY = 1_000_000  # calls; the router keeps back those that a replica can't admit


@dataclass(frozen=True)
class About:
    """What a server asks a replica once.

    Attributes:
        previews: whether drafts have previews: see ``Parts.previews``.
    """

    settings: Settings
    previews: bool


class StageWorker(Worker):
    """A worker that has computed ``first`` before it is ready."""

    def __init__(self, replica: "Stage"):
        settings = replica.settings
        options = Options(max_running=settings.together, max_waiting=PLENTY)
        super().__init__(lambda: open_model(settings), options, replica.metrics)
        self.replica = replica

    def prepare(self) -> None:
        """Compute once, so that the first call finds loaded what it needs."""
        run_one(self.model.parts, performed(self.replica.first(self.model)))


class Stage:
    """A replica: what both stages have in common.

    Attributes:
        capacity: weight of the calls that a replica admits: see ``router.py``.
        fronts: servers that use the replica's model, and when each last said so.
    """

    capacity = 0

    def __init__(self, settings: Settings):
        self.settings, self.metrics = settings, Metrics()
        self.fronts: dict[str, float] = {}
        self.weight = 0
        self.worker = StageWorker(self)
        self.worker.start()
        while not self.worker.ready.wait(0.05):
            if self.worker.problem:
                raise self.worker.problem

    def first(self, model: Model) -> Effect:
        """An effect that loads what the stage needs."""
        raise NotImplementedError

    async def perform(self, packed: bytes, weight: int, left_s: float) -> bytes:
        """Compute an effect.

        Args:
            packed: the effect; see ``packing.py``.
            left_s: seconds after which its result is not needed.

        Returns:
            ("done", result) or ("failed", exception), packed. Exceptions are values, so that all that is raised through
            Ray means that the replica is lost.
        """
        async with contextlib.aclosing(self.follow(packed, frozenset(), weight, left_s)) as answers:
            return await anext(answers)

    async def follow(self, packed: bytes, marks: frozenset[int], weight: int, left_s: float) -> AsyncGenerator[bytes]:
        """Like ``perform``, with ("ids", ids so far) before it, whenever one of these numbers of ids is reached."""
        events, loop = asyncio.Queue[Event](), asyncio.get_running_loop()
        try:
            job = Job(performed(unpack(packed, self.worker.model)), text_marks=lambda total: marks)
        except Exception as problem:
            yield self.answer(Failed(problem))
            return

        def notify(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        job.notify = notify
        job.deadline = time.monotonic() + left_s
        self.weight += weight
        try:
            self.worker.submit([job])
            while not isinstance(event := await events.get(), Done | Failed):
                if isinstance(event, Progress):
                    yield pack(("ids", event.ids), self.worker.model)
            yield self.answer(event)
        finally:
            self.weight -= weight
            self.worker.cancel([job])

    def answer(self, event: Done | Failed) -> bytes:
        """The last event of an effect, packed."""
        model = self.worker.model
        if isinstance(event, Done):
            return pack(("done", event.result), model)
        try:
            packed = pack(("failed", event.problem), model)
            unpack(packed, model)  # some exceptions can be packed, but not unpacked
            return packed
        except Exception:
            return pack(("failed", RuntimeError(f"{type(event.problem).__name__}: {event.problem}")), model)

    async def about(self) -> About:
        """What it serves."""
        return About(self.settings, self.worker.model.parts.previews)

    async def hold(self, front: str) -> None:
        """A server says that it uses the model."""
        self.fronts[front] = time.monotonic()

    async def release(self, front: str) -> None:
        """A server says that it does not use the model any more."""
        self.fronts.pop(front, None)

    async def holders(self) -> list[str]:
        """The servers that use the model."""
        return [front for front, when in self.fronts.items() if time.monotonic() - when < HOLD_S]

    async def numbers(self) -> Numbers:
        """The replica's metrics."""
        context = serve.get_replica_context()
        return numbers_of(self.metrics, context.replica_tag, context.deployment)

    def record_routing_stats(self) -> dict[str, Any]:
        """Called by Ray Serve, for ``router.py``."""
        return {"weight": self.weight}

    def check_health(self) -> None:
        """Called by Ray Serve, which replaces a replica whose thread has ended."""
        if not self.worker.is_alive():
            raise RuntimeError("the thread that computes has ended")


class Drafting(Stage):
    """Drafts ids, and computes what tasks ask for: captions' scores, codes of pictures.

    Args:
        rendering: the handle of the other stage, so that Ray Serve deploys both as one application.
    """

    capacity = MAX_ROWS

    def __init__(self, settings: Settings, rendering: Any):
        super().__init__(settings)
        self.rendering = rendering

    def first(self, model: Model) -> Effect:
        """A draft of the training size."""
        return Draft([model.parts.layout.draw("a cat", model.folder.grid, 0, model.folder.settings)])


class Rendering(Stage):
    """Renders codes: pictures and previews."""

    capacity = 2 * MAX_RENDERED_CODES  # one group is rendered, and the next one waits

    def first(self, model: Model) -> Effect:
        """A picture of the training size."""
        codes = np.zeros((*model.folder.grid, *model.folder.cell_shape), np.int64)
        return Render(codes, 0, model.folder.settings, "a cat")


def performed(effect: Effect) -> Task[Any]:
    """A task that is one effect."""
    return (yield effect)


def open_model(settings: Settings) -> Model:
    """The model, as this node has it.

    Raises:
        ModelError: this node has other weights under its name.
    """
    model = Model.load(settings.model, settings.device, settings.backend)
    if model.digest != settings.digest:
        what = f"{settings.model or model.name} is another model on this node ({model.digest}, not {settings.digest})"
        raise ModelError(what, "give all nodes the same folder")
    return model
