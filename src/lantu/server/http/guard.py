"""Before anything is parsed: request ids, hosts, origins, keys, sizes, slow clients; and headers of every answer."""

import asyncio
import logging
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lantu.server.http import bodies, memory
from lantu.server.http.bodies import Scan
from lantu.server.http.errors import ApiError, as_api_error
from lantu.server.http.keys import Keys
from lantu.server.http.origins import Origins
from lantu.server.service import Service

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


SLOWEST = 10_000  # bytes of a body a second, at least
BODIES = 8  # largest bodies that may be on their way at once


class Guard:
    """Wraps the whole app.

    Args:
        app: what comes after.
        service: for keys, limits and counts.
    """

    def __init__(self, app: ASGIApp, service: Service):
        self.app, self.service, self.options = app, service, service.options
        self.keys, self.origins = Keys(service.options.keys), Origins(service.options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope, receive, send, self.service, self.origins)
        state = scope.setdefault("state", {})
        state["client"], state["request_id"], state["lifted"] = visit.address, visit.id, visit.scan.lifted
        try:
            if answer := self.admit(scope, visit):
                await answer(scope, visit.receive, visit.send)
            else:
                await self.app(scope, visit.receive, visit.send)
        except Gone:
            visit.status = visit.status or 499
        except Exception as problem:
            error = as_api_error(problem)
            self.service.count(error.code)
            if visit.status:
                raise  # the answer has begun: all that is left is to break it off
            await error.response()(scope, visit.receive, visit.send)
        finally:
            self.service.bodies -= visit.taken
            if visit.taken > memory.HEAVY:
                self.service.trimmer.trim_soon()
            self.note(scope, visit)

    def admit(self, scope: Scope, visit: "Visit") -> Response | None:
        """Let a request in and note whose it is; or the answer to a browser that asks before a page may come.

        Raises:
            ApiError: it may not come in.
        """
        headers = visit.headers
        self.origins.check(headers)
        if answer := self.origins.preflight(scope["method"], headers):
            return answer
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise ApiError(400, "the Content-Length header is malformed", "bad_request")
        visit.expect(int(length[:20]))
        if self.keys.digests and scope["path"].startswith("/v1/") and scope["method"] != "OPTIONS":
            holder = self.keys.whose(headers.get("authorization", ""))
            if holder is None:
                message = "no valid API key: send Authorization: Bearer KEY"
                raise ApiError(401, message, "invalid_api_key", headers={"www-authenticate": "Bearer"})
            scope["state"]["client"] = holder
        return None

    def note(self, scope: Scope, visit: "Visit") -> None:
        """Count and log."""
        route = getattr(scope.get("route"), "path", None) or "other"
        seconds = time.monotonic() - visit.started
        self.service.metrics.requests.labels(route, str(visit.status)).inc()
        self.service.metrics.request_s.labels(route).observe(seconds)
        told: dict[str, Any] = {
            "request": visit.id,
            "client": visit.address,
            "method": scope["method"],
            "path": scope["path"],
            "status": visit.status,
            "ms": round(1000 * seconds, 1),
        }
        if self.options.log_prompts and (prompt := scope["state"].get("prompt")):
            told["prompt"] = prompt
        log.info("request", extra={"told": told})


class Gone(Exception):
    """The client neither sends nor reads."""


class Visit:
    """One request, watched on both ways."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service, origins: Origins):
        self.inner_receive, self.inner_send, self.service, self.origins = receive, send, service, origins
        self.options, self.headers, self.path = service.options, Headers(scope=scope), scope["path"]
        self.id, self.started = f"req_{secrets.token_hex(12)}", time.monotonic()
        client = scope.get("client")
        self.address = client[0] if client else "unknown"
        self.limits = bodies.limits_of(self.path, self.options)
        self.scan = Scan(self.limits)
        kind = self.headers.get("content-type", "").lower()
        self.scanned = not (kind.startswith("multipart/") and self.path in bodies.PICTURES)
        self.taken, self.whole, self.status = 0, False, 0

    def expect(self, length: int) -> None:
        """Refuse a body that is too large before it is read.

        Raises:
            ApiError: it is.
        """
        if length > self.limits.bytes:
            raise too_large(self.limits.bytes)

    async def receive(self) -> Message:
        """A part of the body, which must come in time and not be too large; see ``bodies``."""
        if self.whole:
            return await self.inner_receive()
        # Some seconds for nothing, and more for what comes: a client that sends a byte now and then does not stay.
        patience = self.started + self.options.stall_s + self.taken / SLOWEST - time.monotonic()
        try:
            message = await asyncio.wait_for(self.inner_receive(), min(self.options.stall_s, max(0.0, patience)))
        except TimeoutError as problem:
            raise ApiError(408, "the body did not come: send it again", "timeout") from problem
        body = message.get("body", b"")
        self.taken += len(body)
        self.service.bodies += len(body)
        self.whole = not message.get("more_body", False)
        if self.taken > self.limits.bytes:
            raise too_large(self.limits.bytes)
        if self.taken > memory.HEAVY and self.service.bodies > BODIES * self.options.max_body:
            raise ApiError(503, "too many large bodies are on their way: try again later", "busy", retry_s=5)
        if self.scanned and body:
            message["body"] = await self.scan.feed(bytes(body))
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer, which must be taken in time."""
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
            self.origins.mark(self.headers, headers)
        try:
            await asyncio.wait_for(self.inner_send(message), self.options.stall_s)
        except TimeoutError as problem:
            raise Gone from problem


def too_large(most: int) -> ApiError:
    return ApiError(413, f"the body is too large: {most:,} bytes are the most", "too_large")
