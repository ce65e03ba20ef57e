"""Before anything is parsed: request ids, hosts, origins, keys, sizes, slow clients; and headers of every answer."""

import asyncio
import logging
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lantu.server.errors import ApiError, as_api_error
from lantu.server.keys import Keys
from lantu.server.options import LOOPBACK, Options
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


class Guard:
    """Wraps the whole app.

    Args:
        app: what comes after.
        service: for keys, limits and counts.
    """

    def __init__(self, app: ASGIApp, service: Service):
        self.app, self.service, self.options = app, service, service.options
        self.keys = Keys(service.options.keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope, receive, send, self.options)
        state = scope.setdefault("state", {})
        state["client"], state["request_id"] = visit.address, visit.id
        try:
            state["client"] = self.admit(scope, visit.address)
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
            self.note(scope, visit)

    def admit(self, scope: Scope, address: str) -> str:
        """Whose request it is, if it may come in.

        Raises:
            ApiError: it may not.
        """
        headers = Headers(scope=scope)
        host = urlsplit(f"//{headers.get('host', '')}").hostname
        public = urlsplit(self.options.public_url)
        if self.options.loopback and host not in (*LOOPBACK, public.hostname):
            # A name that a page had resolved to this machine (DNS rebinding).
            raise ApiError(403, "the server answers to localhost only: start it with --host", "wrong_host")
        origin = headers.get("origin")
        own = (headers.get("host"), public.netloc or None)
        if origin and origin not in self.options.origins and urlsplit(origin).netloc not in own:
            raise ApiError(403, f"pages of {origin} may not use this server: see --origin", "wrong_origin")
        if int(headers.get("content-length", "0")) > self.options.max_body:
            raise too_large(self.options)
        if not self.keys.digests or not scope["path"].startswith("/v1/") or scope["method"] == "OPTIONS":
            return address
        holder = self.keys.whose(headers.get("authorization", ""))
        if holder is None:
            challenge = {"www-authenticate": "Bearer"}
            raise ApiError(
                401, "no valid API key: send Authorization: Bearer KEY", "invalid_api_key", headers=challenge
            )
        return holder

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

    def __init__(self, scope: Scope, receive: Receive, send: Send, options: Options):
        self.inner_receive, self.inner_send, self.options = receive, send, options
        self.id, self.started = f"req_{secrets.token_hex(12)}", time.monotonic()
        client = scope.get("client")
        self.address = client[0] if client else "unknown"
        self.path = scope["path"]
        self.taken, self.whole, self.status = 0, False, 0

    async def receive(self) -> Message:
        """A part of the body, which must come in time and not be too large."""
        if self.whole:
            return await self.inner_receive()
        try:
            message = await asyncio.wait_for(self.inner_receive(), self.options.stall_s)
        except TimeoutError as problem:
            raise ApiError(408, "the body did not come: send it again", "timeout") from problem
        self.taken += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.taken > self.options.max_body:
            raise too_large(self.options)
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
        try:
            await asyncio.wait_for(self.inner_send(message), self.options.stall_s)
        except TimeoutError as problem:
            raise Gone from problem


def too_large(options: Options) -> ApiError:
    return ApiError(413, f"the body is too large: {options.max_body:,} bytes are the most", "too_large")
