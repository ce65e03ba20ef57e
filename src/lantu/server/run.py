"""Runs the app with uvicorn. At shutdown, running requests finish and new ones are refused."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lantu.errors import LantuError
from lantu.server.http.wire import protocol
from lantu.server.options import Options
from lantu.server.service import Service

log = logging.getLogger("lantu.server")


class Server(uvicorn.Server):
    """A server that keeps listening while it drains, so that new requests are answered with an error, not refused.

    Args:
        on_listening: called with the server's URL once it listens.

    Attributes:
        draining_since: time.monotonic() of the signal to stop; 0 before.
    """

    def __init__(self, config: uvicorn.Config, service: Service, on_listening: Callable[[str], None] | None):
        super().__init__(config)
        self.service, self.on_listening, self.draining_since = service, on_listening, 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start to drain at the first signal, and exit at once at the second Ctrl-C."""
        if self.draining_since and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True  # the second Ctrl-C
        self.draining_since = self.draining_since or time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and call ``on_listening``."""
        await super().startup(sockets)
        if sockets and self.on_listening and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            self.on_listening(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        """Exit when the model can't be loaded, or when draining has ended or takes too long."""
        if self.service.worker.problem:
            self.should_exit = True
        if self.draining_since:
            if not self.service.worker.draining:
                self.service.worker.drain()
                log.info("draining", extra={"fields": {"at most": self.service.options.drain_s}})
            overdue = time.monotonic() - self.draining_since > self.service.options.drain_s
            if overdue or (self.service.worker.idle and not self.server_state.tasks):
                self.should_exit = True
        return await super().on_tick(counter)


def serve(app: FastAPI, options: Options, on_listening: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        on_listening: called with the server's URL once it listens.

    Raises:
        LantuError: the address can't be used, or the model can't be loaded.
    """
    # The worker runs little Python between two passes. Answers need not wait the default 5 ms for the interpreter lock.
    sys.setswitchinterval(0.0005)
    service: Service = app.state.service
    with listen(options.host, options.port) as listener:
        asyncio.run(Server(config_of(app, options), service, on_listening).serve([listener]))
    if service.worker.problem:
        raise service.worker.problem


def config_of(app: FastAPI, options: Options) -> uvicorn.Config:
    """uvicorn's configuration."""
    return uvicorn.Config(
        app,
        http=protocol(options.stall_s),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(options.proxies),
        forwarded_allow_ips=list(options.proxies),
        timeout_keep_alive=15,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=64_000,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        LantuError: the address is taken, or is not this machine's.
    """
    # asyncio sets TCP_NODELAY only on sockets whose protocol is given; without it small answers wait 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        return listener
    except (OSError, OverflowError) as problem:
        listener.close()
        raise LantuError(f"can't listen at {host}:{port} ({problem})", "choose another --port or --host") from problem
