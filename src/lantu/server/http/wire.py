"""Connections: a time limit for request heads, and a minimum size for the chunks of a body."""

import asyncio
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn import Config

MAX_SMALL_CHUNKS, MIN_MEAN_SIZE = 500, 16  # after so many chunks of a body, their mean size must be that many bytes


class Connection(h11.Connection):
    """Refuses bodies in tiny chunks: each chunk costs as much as a large one, and one read may hold thousands."""

    chunks = received = 0

    def next_event(self) -> Any:
        """The next event; raises RemoteProtocolError when the chunks of a body are too small."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.chunks = self.received = 0
        elif isinstance(event, h11.Data):
            self.chunks, self.received = self.chunks + 1, self.received + len(event.data)
            if self.chunks > MAX_SMALL_CHUNKS and self.received < MIN_MEAN_SIZE * self.chunks:
                raise h11.RemoteProtocolError("the chunks of the body are too small")
        return event


class Protocol(H11Protocol):
    """uvicorn's protocol with a time limit for the head of a request.

    Attributes:
        head_s: the limit, in seconds.
    """

    head_s = 30.0

    def __init__(self, config: "Config", *args: Any, **kwargs: Any):
        super().__init__(config, *args, **kwargs)
        self.conn = Connection(h11.SERVER, config.h11_max_incomplete_event_size or 64_000)
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first request."""
        super().connection_made(transport)
        self.start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self.stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Stop the timer when a head is complete, and start it when another one begins."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self.stop_timer()
        elif self.head_timer is None and not self.transport.is_closing() and self.conn.trailing_data[0]:
            self.start_timer()

    def handle_events(self) -> None:
        """Handle what has arrived, and close the connection when the answer can't be completed."""
        try:
            super().handle_events()
        except h11.LocalProtocolError:  # the body was refused while the answer was being sent
            self.transport.close()

    def start_timer(self) -> None:
        """Give the client ``head_s`` for the rest of the head."""
        self.head_timer = self.loop.call_later(self.head_s, self.close_late)

    def stop_timer(self) -> None:
        """The head is complete, or the connection is closed."""
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def close_late(self) -> None:
        """Close the connection, because the head did not arrive in time."""
        self.head_timer = None
        self.transport.close()


def protocol(head_s: float) -> type[Protocol]:
    """The protocol class with this time limit for heads, in seconds."""
    return type("Protocol", (Protocol,), {"head_s": head_s})
