"""From a job's events to a client: waiting for all of them, streaming them, and noticing that nobody listens."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lantu.server.filter import Filter
from lantu.server.http.errors import HungUp, as_api_error
from lantu.server.worker.jobs import Done, Event, Failed, Job
from lantu.server.worker.worker import Worker
from lantu.tasks.chat import Answer
from lantu.tasks.edit import Changed
from lantu.types import Picture

KEEP_ALIVE_S = 3.0  # a stream says something that often, or proxies and clients take it for dead


END: Any = object()


class Subscription:
    """The jobs of one request, submitted, and their events.

    Args:
        sieve: sees each finished picture before the client does. With a judge there are no previews.

    Raises:
        Draining, Loading, Crowded: the worker takes none of them.
    """

    def __init__(self, worker: Worker, jobs: Sequence[Job], client: str, timeout_s: float, sieve: Filter):
        self.worker, self.jobs, self.sieve = worker, jobs, sieve
        self.events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def notifier(place: int) -> Callable[[Event], None]:
            def notify(event: Event) -> None:
                with contextlib.suppress(RuntimeError):  # the server ends, nobody listens
                    loop.call_soon_threadsafe(self.events.put_nowait, (place, event))

            return notify

        for place, job in enumerate(jobs):
            job.client, job.notify, job.deadline = client, notifier(place), time.monotonic() + timeout_s
            if sieve.judge:
                job.previews = "never"
        worker.submit(jobs)

    async def follow(self, every_s: float = KEEP_ALIVE_S) -> AsyncIterator[tuple[int, Event | None]]:
        """Events with their job's place, until all jobs are done; None when nothing happens for a while.

        Raises:
            what a job failed of.
            Refused: a picture may not be shown.
        """
        left = len(self.jobs)
        while left:
            try:
                place, event = await asyncio.wait_for(self.events.get(), every_s)
            except TimeoutError:
                yield 0, None
                continue
            if isinstance(event, Failed):
                raise event.problem
            if isinstance(event, Done):
                left -= 1
                for picture in pictures_in(event.result):
                    await self.sieve.check_picture(picture)
            yield place, event

    async def done(self) -> list[Done]:
        """The ends of all jobs, in their order."""
        ends: dict[int, Done] = {}
        async for place, event in self.follow():
            if isinstance(event, Done):
                ends[place] = event
        return [ends[place] for place in range(len(self.jobs))]

    def close(self) -> None:
        """Give up what is not done."""
        self.worker.cancel(self.jobs)


def pictures_in(result: Any) -> list[Picture]:
    """The pictures among what a task returned."""
    if isinstance(result, Picture):
        return [result]
    if isinstance(result, Changed):
        return [result.picture]
    return [part for part in result.parts if isinstance(part, Picture)] if isinstance(result, Answer) else []


async def finished(request: Request, subscription: Subscription) -> list[Done]:
    """Wait for all jobs of a subscription, as long as the client does.

    Raises:
        HungUp: it did not.
    """
    gone, work = asyncio.create_task(hung_up(request)), asyncio.create_task(subscription.done())
    try:
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise HungUp
        return work.result()
    finally:
        gone.cancel()
        work.cancel()
        subscription.close()


async def hung_up(request: Request) -> None:
    """Returns when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Stream(StreamingResponse):
    """Server-sent events: objects as ``data:`` lines, their ``type`` as ``event:`` too, ``[DONE]`` at the end.

    Args:
        events: objects; None for a sign of life. What it raises is told as ``{"error": …}``.
        subscription: given up when the client goes, even before the first event.
        count: called with the code of an error.
    """

    def __init__(
        self, events: AsyncIterator[dict[str, Any] | None], subscription: Subscription, count: Callable[[str], None]
    ):
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(self.lines(events, count), media_type="text/event-stream", headers=headers)
        self.subscription = subscription

    async def lines(
        self, events: AsyncIterator[dict[str, Any] | None], count: Callable[[str], None]
    ) -> AsyncIterator[bytes]:
        try:
            async for event in breathing(events):
                yield line(event)
        except Exception as problem:
            error = as_api_error(problem)
            count(error.code)
            yield line(error.body)
        yield b"data: [DONE]\n\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.subscription.close()


async def breathing(events: AsyncIterator[dict[str, Any] | None]) -> AsyncIterator[dict[str, Any] | None]:
    """The events, and None whenever none came for a while: drafting, judging and signing take their time."""
    while True:
        following = asyncio.ensure_future(anext(events, END))
        try:
            while not (await asyncio.wait({following}, timeout=KEEP_ALIVE_S))[0]:
                yield None
            event = following.result()
        finally:
            following.cancel()
        if event is END:
            return
        yield event


def line(event: dict[str, Any] | None) -> bytes:
    if event is None:
        return b": keep-alive\n\n"
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
