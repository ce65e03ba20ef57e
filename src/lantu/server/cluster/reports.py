"""Sends the events of a job in order, although its previews take time to be rendered."""

import asyncio
from collections.abc import Awaitable, Callable

from lantu.server.worker.jobs import Event


class InOrder:
    """Sends events in the order in which they happened, although some take time to be made."""

    def __init__(self, notify: Callable[[Event], None]):
        self.notify = notify
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, event: Awaitable[Event]) -> None:
        """Send an event, after those before it."""
        self.tasks.append(asyncio.ensure_future(self.after(self.tasks[-1] if self.tasks else None, event)))

    async def after(self, before: "asyncio.Task[None] | None", event: Awaitable[Event]) -> None:
        """Start to make an event at once, and send it when the one before is sent."""
        made = asyncio.ensure_future(event)
        try:
            if before:
                await before
            self.notify(await made)
        finally:
            made.cancel()

    async def sent(self) -> None:
        """Wait until all events are sent. Raises what making one raised."""
        if self.tasks:
            await self.tasks[-1]

    def drop(self) -> None:
        """Send nothing more."""
        for task in self.tasks:
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # which nobody else reads
            task.cancel()


async def at_once(event: Event) -> Event:
    """An event that takes no time."""
    return event
