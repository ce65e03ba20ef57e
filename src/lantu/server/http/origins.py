"""Which pages may use the server: checks a request's Host and Origin, and answers browsers' preflights (CORS)."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from lantu.errors import LantuError
from lantu.server.http.errors import ApiError
from lantu.server.options import LOOPBACK, Options

ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<address>[^/\s?#@]+)")
DEFAULT_PORTS = {"http": "80", "https": "443"}
HEADER_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[a-z0-9!#$%&'*+.^_`|~-]+)*", re.IGNORECASE)
EXPOSED_HEADERS = "x-request-id, retry-after, x-should-retry"
MAX_AGE_S = 600  # for which a browser may cache the answer to a preflight


@dataclass(frozen=True)
class Address:
    """A host's name and port; the port is None when it is the scheme's default."""

    host: str
    port: str | None

    @classmethod
    def read(cls, text: str, scheme: str = "http") -> "Address | None":
        """Read an address as headers write it; None when it is malformed."""
        match = ADDRESS.fullmatch(text.strip().lower())
        if match is None or int(match["port"] or 0) > 65535:
            return None
        return cls(match["host"].strip("[]"), None if match["port"] == DEFAULT_PORTS.get(scheme) else match["port"])


def read_origin(text: str) -> tuple[str, Address] | None:
    """An origin's scheme and address; None when it is malformed or "null"."""
    match = ORIGIN.fullmatch(text.strip().lower())
    address = Address.read(match["address"], match["scheme"]) if match else None
    return (match["scheme"], address) if match and address else None


def check_origins(origins: list[str]) -> tuple[str, ...]:
    """Check the values of ``--origin``.

    Raises:
        LantuError: one of them is not an origin.
    """
    for text in origins:
        if read_origin(text.rstrip("/")) is None:
            raise LantuError(f"--origin can't be {text!r}", "give only scheme and host, e.g. https://example.com")
    return tuple(text.rstrip("/") for text in origins)


class Origins:
    """Decides which pages may use the server."""

    def __init__(self, options: Options):
        self.options = options
        self.allowed = {read_origin(text) for text in options.origins} - {None}
        self.public = read_origin(options.public_url) if options.public_url else None

    def check(self, headers: Headers) -> None:
        """Refuse a request from a page that may not use the server.

        Raises:
            ApiError: the page may not use it, or Host or Origin is malformed.
        """
        host_header = headers.get("host", "")
        host = Address.read(host_header)
        if host_header and host is None:
            raise ApiError(400, "the Host header is malformed", "wrong_host")
        names = (*LOOPBACK, self.public[1].host if self.public else None)
        if self.options.loopback and (host is None or host.host not in names):
            # A page may have pointed its own host name at this machine (DNS rebinding).
            raise ApiError(
                403, "the server answers only to localhost: to serve other hosts, start it with --host", "wrong_host"
            )
        origin = headers.get("origin")
        if origin is None or self.is_allowed(origin):
            return
        found = read_origin(origin)
        if found is None or (found != self.public and Address.read(host_header, found[0]) != found[1]):
            raise ApiError(403, f"pages of {origin[:200]} may not use this server: see --origin", "wrong_origin")

    def is_allowed(self, origin: str) -> bool:
        """Whether ``--origin`` allows this origin."""
        return bool(self.allowed) and read_origin(origin) in self.allowed

    def preflight(self, method: str, headers: Headers) -> Response | None:
        """The answer to a browser's preflight request; None when the request is not one."""
        if method != "OPTIONS" or "access-control-request-method" not in headers or not self.allowed:
            return None
        requested = headers.get("access-control-request-headers", "")
        default = "authorization, content-type"
        answer = {
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": requested if HEADER_NAMES.fullmatch(requested) else default,
            "access-control-max-age": str(MAX_AGE_S),
        }
        if headers.get("access-control-request-private-network") == "true":
            answer["access-control-allow-private-network"] = "true"
        return Response(status_code=204, headers=answer)

    def allow(self, request: Headers, answer: MutableHeaders) -> None:
        """Add the headers that let pages of ``--origin`` read an answer, including errors."""
        if not self.allowed:
            return
        answer.add_vary_header("Origin")
        # Pages show pictures with <img>, whose requests carry no Origin.
        answer["cross-origin-resource-policy"] = "cross-origin"
        origin = request.get("origin")
        if origin and self.is_allowed(origin):
            answer["access-control-allow-origin"] = origin
            answer["access-control-expose-headers"] = EXPOSED_HEADERS
