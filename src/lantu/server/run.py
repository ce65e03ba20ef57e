"""uvicorn, and the end: what runs is finished, what comes is refused."""

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
    """Goes on listening while it drains, so that those who come are told.

    Args:
        begun: called with its URL when it listens.
    """

    def __init__(self, config: uvicorn.Config, service: Service, begun: Callable[[str], None] | None):
        super().__init__(config)
        self.service, self.begun, self.draining_since = service, begun, 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.draining_since and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True  # asked twice
        self.draining_since = self.draining_since or time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.begun and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            self.begun(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        if self.service.worker.problem:
            self.should_exit = True
        if self.draining_since:
            if not self.service.worker.draining:
                self.service.worker.drain()
                log.info("draining", extra={"told": {"at most": self.service.options.drain_s}})
            late = time.monotonic() - self.draining_since > self.service.options.drain_s
            if late or (self.service.worker.idle and not self.server_state.tasks):
                self.should_exit = True
        return await super().on_tick(counter)


def serve(app: FastAPI, options: Options, begun: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        begun: called with its URL when it listens.

    Raises:
        LantuError: the address is taken or not ours, or the model can't be loaded.
    """
    # The worker's Python between two passes is short: an answer needn't wait the usual 5 ms for its turn.
    sys.setswitchinterval(0.0005)
    service: Service = app.state.service
    with listening(options.host, options.port) as taken:
        asyncio.run(Server(configured(app, options), service, begun).serve([taken]))
    if service.worker.problem:
        raise service.worker.problem


def configured(app: FastAPI, options: Options) -> uvicorn.Config:
    """How uvicorn is to be."""
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


def listening(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises:
        LantuError: it is taken, or not ours.
    """
    # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is named; else they wait 40 ms.
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(512)
        return taken
    except (OSError, OverflowError) as problem:
        taken.close()
        raise LantuError(f"can't listen at {host}:{port} ({problem})", "choose another --port or --host") from problem
