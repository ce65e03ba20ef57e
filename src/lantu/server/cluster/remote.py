"""Calls of replicas by Ray Serve: an effect goes to one, and its result comes back."""

import asyncio
import time
from dataclasses import replace
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from lantu.pipeline import Model
from lantu.recipes.bulk.cluster import first_line
from lantu.server.cluster.deployed import OnIds
from lantu.server.cluster.packing import pack, unpack
from lantu.server.worker.unavailable import DeadlineExceeded, ReplicaLost
from lantu.tasks.effects import Draft, Effect, Render

ANSWER_S = 5.0  # for replicas to answer what takes no time


class RemoteStage:
    """A deployment of Ray Serve."""

    def __init__(self, handle: DeploymentHandle, model: Model):
        self.handle, self.model = handle, model
        self.whole = handle.options(method_name="perform")
        self.streamed = handle.options(method_name="follow", stream=True)

    async def perform(
        self, effect: Effect, deadline: float, marks: frozenset[int] = frozenset(), on_ids: OnIds | None = None
    ) -> Any:
        """Send an effect to the replica that the router chooses; leaving this cancels it there."""
        if isinstance(effect, Draft):  # what makes codes of ids stays here
            effect = replace(effect, partial=None, sketch=None)
        packed = pack(effect, self.model)
        how = {"weight": weight_of(effect), "left_s": deadline - time.monotonic()}
        if how["left_s"] <= 0:
            raise DeadlineExceeded
        try:
            if marks and on_ids:
                kind, value = await self.follow(packed, marks, how, on_ids)
            else:
                kind, value = unpack(await ended(self.whole.remote(packed, **how)), self.model)
        except (RayError, RayServeException) as problem:
            raise ReplicaLost(f"{type(problem).__name__}: {first_line(problem)}") from problem
        if kind == "failed":
            raise value
        return value

    async def follow(self, packed: bytes, marks: frozenset[int], how: dict[str, Any], on_ids: OnIds) -> Any:
        """The last answer of a stream; ids so far go to ``on_ids``."""
        answers: Any = self.streamed.remote(packed, marks, **how)
        try:
            async for answer in answers:
                kind, value = unpack(answer, self.model)
                if kind != "ids":
                    return kind, value
                on_ids(value)
            raise ReplicaLost("a stream ended without its result")
        finally:
            answers.cancel()  # of no effect once it has ended

    async def ask(self, method: str, *arguments: str) -> list[Any]:
        """Call a method of all replicas, once each; exceptions stand among the results."""
        call = self.handle.broadcast(method, *arguments)
        return await call.results_async(timeout_s=ANSWER_S, return_exceptions=True)


async def ended(response: Any) -> Any:
    """The answer of a call, which is cancelled if this is."""
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()
        raise


def weight_of(effect: Effect) -> int:
    """What an effect takes of its replica's capacity: rows of the engine's batch, or codes to render."""
    if isinstance(effect, Draft):
        return sum(request.rows for request in effect.requests)
    return effect.cells if isinstance(effect, Render) else 0
