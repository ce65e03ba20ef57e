"""Delivers the events of jobs to a client: waits for them or streams them, and cancels them if the client leaves."""

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
from lantu.server.http.errors import ClientDisconnected, as_api_error
from lantu.server.worker.jobs import Done, Event, Failed, Job
from lantu.server.worker.runner import Runner
from lantu.tasks.chat import Answer
from lantu.tasks.edit import Changed
from lantu.types import Picture

KEEP_ALIVE_S = 3.0  # interval of a stream's keep-alive comments, without which proxies and clients give up
END: Any = object()


class Subscription:
    """Submits the jobs of one request, and receives their events.

    Args:
        client: identifies the client, for fair queueing.
        timeout_s: the most time for the jobs, waiting included.
        content_filter: checks each finished picture before the client sees it. With a judge there are no previews.

    Raises:
        Draining, Loading, QueueFull: the worker accepts none of the jobs.
    """

    def __init__(self, worker: Runner, jobs: Sequence[Job], client: str, timeout_s: float, content_filter: Filter):
        self.worker, self.jobs, self.content_filter = worker, jobs, content_filter
        self.events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def notifier(place: int) -> Callable[[Event], None]:
            def notify(event: Event) -> None:
                with contextlib.suppress(RuntimeError):  # the event loop is closed at shutdown
                    loop.call_soon_threadsafe(self.events.put_nowait, (place, event))

            return notify

        for place, job in enumerate(jobs):
            job.client, job.notify, job.deadline = client, notifier(place), time.monotonic() + timeout_s
            if content_filter.judge:
                job.previews = "never"
        worker.submit(jobs)

    async def follow(self, every_s: float = KEEP_ALIVE_S) -> AsyncIterator[tuple[int, Event | None]]:
        """Yield events with the place of their job, until all jobs are done; None when nothing happens for ``every_s``.

        Raises:
            Refused: the content filter refuses a picture.
            Exception: the reason why a job failed.
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
                    await self.content_filter.check_picture(picture)
            yield place, event

    async def done(self) -> list[Done]:
        """Wait for all jobs; returns their last events in the jobs' order. Raises like ``follow``."""
        ends: dict[int, Done] = {}
        async for place, event in self.follow():
            if isinstance(event, Done):
                ends[place] = event
        return [ends[place] for place in range(len(self.jobs))]

    def close(self) -> None:
        """Cancel the jobs that are not done."""
        self.worker.cancel(self.jobs)


def pictures_in(result: Any) -> list[Picture]:
    """The pictures in a task's result."""
    if isinstance(result, Picture):
        return [result]
    if isinstance(result, Changed):
        return [result.picture]
    return [part for part in result.parts if isinstance(part, Picture)] if isinstance(result, Answer) else []


async def finished(request: Request, subscription: Subscription) -> list[Done]:
    """Wait for all jobs of a subscription; cancel them when the client disconnects.

    Raises:
        ClientDisconnected: it did.
    """
    gone, work = asyncio.create_task(disconnected(request)), asyncio.create_task(subscription.done())
    try:
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnected
        return work.result()
    finally:
        gone.cancel()
        work.cancel()
        subscription.close()


async def disconnected(request: Request) -> None:
    """Wait until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Stream(StreamingResponse):
    """Server-sent events: objects as ``data:`` lines, their ``type`` also as ``event:``, and ``[DONE]`` at the end.

    Args:
        events: yields objects, and None for a keep-alive. An exception is sent as ``{"error": …}``.
        subscription: closed when the stream ends or the client disconnects, even before the first event.
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
        """The stream's text."""
        try:
            async for event in with_keep_alive(events):
                yield encode_event(event)
        except Exception as problem:
            error = as_api_error(problem)
            count(error.code)
            yield encode_event(error.body)
        yield b"data: [DONE]\n\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.subscription.close()


async def with_keep_alive(events: AsyncIterator[dict[str, Any] | None]) -> AsyncIterator[dict[str, Any] | None]:
    """The events, and None whenever the next one takes longer than ``KEEP_ALIVE_S``."""
    while True:
        upcoming = asyncio.ensure_future(anext(events, END))
        # When the client has left, nobody reads its error, which asyncio would print as forgotten.
        upcoming.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            while not (await asyncio.wait({upcoming}, timeout=KEEP_ALIVE_S))[0]:
                yield None
            event = upcoming.result()
        finally:
            upcoming.cancel()
        if event is END:
            return
        yield event


def encode_event(event: dict[str, Any] | None) -> bytes:
    """The lines of one event; None becomes a keep-alive comment."""
    if event is None:
        return b": keep-alive\n\n"
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
