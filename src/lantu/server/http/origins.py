"""Which pages may use the server: Host and Origin of a request, and what browsers ask before (CORS)."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from lantu.errors import LantuError
from lantu.server.http.errors import ApiError
from lantu.server.options import LOOPBACK, Options

ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<address>[^/\s?#@]+)")
PORTS = {"http": "80", "https": "443"}
TOKENS = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[a-z0-9!#$%&'*+.^_`|~-]+)*", re.IGNORECASE)
EXPOSED = "x-request-id, retry-after, x-should-retry"
KEPT_S = 600  # for which a browser remembers what it was allowed


@dataclass(frozen=True)
class Address:
    """A host's name and port; none where it is the scheme's own."""

    host: str
    port: str | None

    @classmethod
    def read(cls, text: str, scheme: str = "http") -> "Address | None":
        """As headers write it; None where it is malformed."""
        found = ADDRESS.fullmatch(text.strip().lower())
        if found is None or int(found["port"] or 0) > 65535:
            return None
        return cls(found["host"].strip("[]"), None if found["port"] == PORTS.get(scheme) else found["port"])


def read_origin(text: str) -> tuple[str, Address] | None:
    """Scheme and address of an origin; None where it is malformed, or "null"."""
    found = ORIGIN.fullmatch(text.strip().lower())
    address = Address.read(found["address"], found["scheme"]) if found else None
    return (found["scheme"], address) if found and address else None


def checked(texts: list[str]) -> tuple[str, ...]:
    """Origins that an operator lets in.

    Raises:
        LantuError: one is none.
    """
    for text in texts:
        if read_origin(text.rstrip("/")) is None:
            raise LantuError(f"--origin can't be {text!r}", "write scheme and host alone, e.g. https://example.com")
    return tuple(text.rstrip("/") for text in texts)


class Origins:
    """Says which pages may use the server."""

    def __init__(self, options: Options):
        self.options = options
        self.allowed = {read_origin(text) for text in options.origins} - {None}
        self.public = read_origin(options.public_url) if options.public_url else None

    def check(self, headers: Headers) -> None:
        """Refuse a request of a page that may not use the server.

        Raises:
            ApiError: it is one, or Host or Origin are malformed.
        """
        told = headers.get("host", "")
        host = Address.read(told)
        if told and host is None:
            raise ApiError(400, "the Host header is malformed", "wrong_host")
        names = (*LOOPBACK, self.public[1].host if self.public else None)
        if self.options.loopback and (host is None or host.host not in names):
            # A name that a page had resolved to this machine (DNS rebinding).
            raise ApiError(403, "the server answers to localhost only: start it with --host", "wrong_host")
        origin = headers.get("origin")
        if origin is None or self.lets_in(origin):
            return
        found = read_origin(origin)
        if found is None or (found != self.public and Address.read(told, found[0]) != found[1]):
            raise ApiError(403, f"pages of {origin[:200]} may not use this server: see --origin", "wrong_origin")

    def lets_in(self, origin: str) -> bool:
        """Whether it is one of ``--origin``."""
        return bool(self.allowed) and read_origin(origin) in self.allowed

    def preflight(self, method: str, headers: Headers) -> Response | None:
        """The answer to a browser that asks whether a page may do something; None where that is not asked."""
        if method != "OPTIONS" or "access-control-request-method" not in headers or not self.allowed:
            return None
        asked = headers.get("access-control-request-headers", "")
        answer = {
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": asked if TOKENS.fullmatch(asked) else "authorization, content-type",
            "access-control-max-age": str(KEPT_S),
        }
        if headers.get("access-control-request-private-network") == "true":
            answer["access-control-allow-private-network"] = "true"
        return Response(status_code=204, headers=answer)

    def mark(self, asked: Headers, answer: MutableHeaders) -> None:
        """Let pages of ``--origin`` read an answer, errors too."""
        if not self.allowed:
            return
        answer.add_vary_header("Origin")
        # Pictures are shown by <img>, which tells no origin.
        answer["cross-origin-resource-policy"] = "cross-origin"
        origin = asked.get("origin")
        if origin and self.lets_in(origin):
            answer["access-control-allow-origin"] = origin
            answer["access-control-expose-headers"] = EXPOSED
