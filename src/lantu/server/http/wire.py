"""One connection: heads of requests that never come to their end, and bodies in crumbs."""

import asyncio
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn import Config

CHUNKS, CRUMB = 500, 16  # after so many chunks of a body their mean size must be that many bytes


class Connection(h11.Connection):
    """Refuses bodies in tiny chunks: each costs as much as a large one, and many come in one read."""

    chunks = taken = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.chunks = self.taken = 0
        elif isinstance(event, h11.Data):
            self.chunks, self.taken = self.chunks + 1, self.taken + len(event.data)
            if self.chunks > CHUNKS and self.taken < CRUMB * self.chunks:
                raise h11.RemoteProtocolError("the body comes in too small chunks")
        return event


class Protocol(H11Protocol):
    """uvicorn's protocol with a time limit for the head of a request.

    Attributes:
        head_s: the limit.
    """

    head_s = 30.0

    def __init__(self, config: "Config", *arguments: Any, **named: Any):
        super().__init__(config, *arguments, **named)
        self.conn = Connection(h11.SERVER, config.h11_max_incomplete_event_size or 64_000)
        self.head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self.unwatch()
        elif self.head is None and not self.transport.is_closing() and self.conn.trailing_data[0]:
            self.watch()

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except h11.LocalProtocolError:  # it was refused in the middle of its answer
            self.transport.close()

    def watch(self) -> None:
        self.head = self.loop.call_later(self.head_s, self.give_up)

    def unwatch(self) -> None:
        if self.head is not None:
            self.head.cancel()
            self.head = None

    def give_up(self) -> None:
        """The head did not come."""
        self.head = None
        self.transport.close()


def protocol(head_s: float) -> type[Protocol]:
    """The protocol with this time limit."""
    return type("Protocol", (Protocol,), {"head_s": head_s})
