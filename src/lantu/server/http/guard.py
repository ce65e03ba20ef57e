"""Middleware around the whole app: request ids, origins, keys, body sizes, slow clients, headers of every answer."""

import asyncio
import logging
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lantu.server.http import bodies, memory
from lantu.server.http.bodies import Scanner
from lantu.server.http.errors import ApiError, as_api_error
from lantu.server.http.keys import Keys
from lantu.server.http.memory import BodyMemory
from lantu.server.http.origins import Origins
from lantu.server.metrics import Metrics
from lantu.server.options import Options

log = logging.getLogger("lantu.server")

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
}
MIN_BYTES_PER_S = 10_000  # of a body
MAX_BODIES = 8  # of the largest size that may be in memory at once


class Guard:
    """ASGI middleware that wraps the whole app.

    Args:
        app: handles the requests that are let through.
        body_memory: counts the bytes of bodies.
    """

    def __init__(self, app: ASGIApp, options: Options, metrics: Metrics, body_memory: BodyMemory):
        self.app, self.options, self.metrics, self.body_memory = app, options, metrics, body_memory
        self.keys, self.origins = Keys(options.keys), Origins(options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self.options, self.body_memory, self.origins)
        if scope["method"] == "HEAD":  # a GET whose body the HTTP server leaves out
            scope = {**scope, "method": "GET"}
        state = scope.setdefault("state", {})
        state["client"], state["request_id"] = exchange.address, exchange.id
        state["long_strings"] = exchange.scanner.strings
        try:
            if answer := self.check(scope, exchange):
                await answer(scope, exchange.receive, exchange.send)
            else:
                await self.app(scope, exchange.receive, exchange.send)
        except ClientStalled:
            exchange.status = exchange.status or 499
        except Exception as problem:
            error = as_api_error(problem)
            self.metrics.errors.labels(error.code).inc()
            if exchange.status:
                raise  # the answer has started: all that is left is to break it off
            await error.response()(scope, exchange.receive, exchange.send)
        finally:
            self.body_memory.release(exchange.received)
            self.record(scope, exchange)

    def check(self, scope: Scope, exchange: "Exchange") -> Response | None:
        """Check a request before its body is read, and store the client that sent it.

        Returns:
            the answer to a browser's preflight request; None for other requests, which go on to the app.

        Raises:
            ApiError: the request is refused.
        """
        headers = exchange.headers
        self.origins.check(headers)
        if answer := self.origins.preflight(scope["method"], headers):
            return answer
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise ApiError(400, "the Content-Length header is malformed", "bad_request")
        exchange.check_length(int(length[:20]))
        if self.keys.digests and scope["path"].startswith("/v1/") and scope["method"] != "OPTIONS":
            holder = self.keys.holder(headers.get("authorization", ""))
            if holder is None:
                message = "no valid API key: send Authorization: Bearer KEY"
                raise ApiError(401, message, "invalid_api_key", headers={"www-authenticate": "Bearer"})
            scope["state"]["client"] = holder
        return None

    def record(self, scope: Scope, exchange: "Exchange") -> None:
        """Count a finished request, and log it."""
        route = getattr(scope.get("route"), "path", None) or "other"
        seconds = time.monotonic() - exchange.started
        self.metrics.requests.labels(route, str(exchange.status)).inc()
        self.metrics.request_s.labels(route).observe(seconds)
        fields: dict[str, Any] = {
            "request": exchange.id,
            "client": exchange.address,
            "method": exchange.method,
            "path": scope["path"],
            "status": exchange.status,
            "ms": round(1000 * seconds, 1),
        }
        if self.options.log_prompts and (prompt := scope["state"].get("prompt")):
            fields["prompt"] = prompt
        log.info("request", extra={"fields": fields})


class ClientStalled(Exception):
    """The client does not read its answer."""


class Exchange:
    """One request and its answer, both with time and size limits.

    Attributes:
        received: bytes of the body so far.
        complete: whether the whole body has arrived.
        status: of the answer; 0 until it starts.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, options: Options, body_memory: BodyMemory, origins: Origins
    ):
        self.inner_receive, self.inner_send, self.origins = receive, send, origins
        self.options, self.body_memory = options, body_memory
        self.headers, self.method, self.path = Headers(scope=scope), scope["method"], scope["path"]
        self.id, self.started = f"req_{secrets.token_hex(12)}", time.monotonic()
        client = scope.get("client")
        self.address = client[0] if client else "unknown"
        self.limits = bodies.limits_of(self.path, options)
        self.scanner = Scanner(self.limits)
        content_type = self.headers.get("content-type", "").lower()
        self.scanned = not (content_type.startswith("multipart/") and self.path in bodies.MULTIPART_ROUTES)
        self.received, self.complete, self.status = 0, False, 0

    def check_length(self, length: int) -> None:
        """Check the announced length of the body.

        Raises:
            ApiError: it is over the limit.
        """
        if length > self.limits.bytes:
            raise too_large(self.limits.bytes)

    async def receive(self) -> Message:
        """Receive a part of the body, within the limits.

        Raises:
            ApiError: the client is too slow, or the body is too large or exceeds the limits of ``bodies``.
        """
        if self.complete:
            return await self.inner_receive()
        # Allow ``stall_s``, and more time for each byte received: a client that drips single bytes is cut off.
        left_s = self.started + self.options.stall_s + self.received / MIN_BYTES_PER_S - time.monotonic()
        try:
            message = await asyncio.wait_for(self.inner_receive(), min(self.options.stall_s, max(0.0, left_s)))
        except TimeoutError as problem:
            raise ApiError(408, "the body did not arrive in time: send it again", "timeout") from problem
        body = message.get("body", b"")
        self.received += len(body)
        self.body_memory.in_use += len(body)
        self.complete = not message.get("more_body", False)
        if self.received > self.limits.bytes:
            raise too_large(self.limits.bytes)
        if self.received > memory.HEAVY and self.body_memory.in_use > MAX_BODIES * self.options.max_body:
            raise ApiError(503, "the server is receiving too many large bodies: try again later", "busy", retry_s=5)
        if self.scanned and body:
            message["body"] = await self.scanner.feed(bytes(body))
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer.

        Raises:
            ClientStalled: the client did not read it in time.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.id
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self.path.startswith("/v1/"):
                headers.setdefault("cache-control", "no-store")
            if self.status >= 400:
                headers.setdefault("x-should-retry", "false")
            self.origins.allow(self.headers, headers)
        try:
            await asyncio.wait_for(self.inner_send(message), self.options.stall_s)
        except TimeoutError as problem:
            raise ClientStalled from problem


def too_large(limit: int) -> ApiError:
    """The error for a body of more than ``limit`` bytes."""
    return ApiError(413, f"the body is too large: the limit is {limit:,} bytes", "too_large")
