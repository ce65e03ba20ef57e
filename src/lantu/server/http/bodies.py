"""What a body may hold, checked while it arrives and before it is parsed: bytes, items, keys, depth.

Parsing holds the interpreter, so that a body of some megabytes of small items would stop all other clients. Here such a
body is refused as soon as the first item too many has come, piece by piece, with a breath for others between pieces. A
picture in base64 is one long string: long strings are lifted out of the body, what is left is small, and they are put
back once that is parsed.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from lantu.server.http.errors import ApiError
from lantu.server.options import Options

PIECE = 16_384  # bytes that are scanned at a time, some milliseconds at worst
LIFTED = 4_096  # bytes of a string that is lifted out
ESCAPED = 65_536  # bytes of one that may hold line ends and escaped slashes, as some make base64
DEEPEST = 64
MARK = "\0lifted:"
# Whatever of a string follows up to its end, or up to a backslash at the very end of what is there.
STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
PICTURES = ("/v1/images/edits", "/v1/lantu/tokenize", "/v1/lantu/read")  # as multipart


@dataclass(frozen=True)
class Limits:
    """What a route's body may hold at most.

    Attributes:
        bytes: in all.
        text: bytes besides long strings without escapes, such as pictures in base64.
        items: commas and opening brackets.
        keys: of all objects.
    """

    bytes: int
    text: int = 512_000  # a prompt of 32,000 characters, six bytes each, and some
    items: int = 1_000
    keys: int = 200


def limits_of(path: str, options: Options) -> Limits:
    """The limits of a route's body; no route reads one that is larger than ``Options.max_body``."""
    most, small = options.max_body, min(options.max_body, 512_000)
    grids = 24_000  # a grid of 64 by 64 codes, and each of its cells by row and column
    match path:
        case "/v1/chat/completions":
            return Limits(most, text=2_000_000, items=24_000, keys=6_000)
        case "/v1/lantu/redraw":
            return Limits(most, items=grids)
        case "/v1/lantu/draw" | "/v1/images/edits" | "/v1/lantu/tokenize" | "/v1/lantu/read":
            return Limits(most)
        case "/v1/lantu/render" | "/v1/lantu/instruct" | "/v1/lantu/caption":
            return Limits(small, items=grids)
    return Limits(small)


class Scan:
    """Reads a JSON body's structure, and lifts long strings out of it.

    Attributes:
        lifted: those strings, in their order.
    """

    def __init__(self, limits: Limits):
        self.limits, self.lifted = limits, list[bytes]()
        self.inside = self.escaped = False  # of a string; behind a backslash
        self.held: list[bytes] = []  # of the string that has begun
        self.text = self.items = self.keys = self.depth = self.strings = 0

    async def feed(self, chunk: bytes) -> bytes:
        """A chunk of the body; gives what is left of it.

        Raises:
            ApiError: the body is none that any route reads.
        """
        left = []
        for place in range(0, len(chunk), PIECE):
            if place:
                await asyncio.sleep(0)
            left += self.scan(chunk[place : place + PIECE])
        return b"".join(left)

    def scan(self, piece: bytes) -> list[bytes]:
        left, place = list[bytes](), 0
        while place < len(piece):
            if self.inside:
                place = self.string(piece, place, left)
                continue
            quote = piece.find(b'"', place)
            end = len(piece) if quote < 0 else quote + 1
            self.outside(piece[place:end])
            left.append(piece[place:end])
            self.inside, place = quote >= 0, end
        return left

    def outside(self, text: bytes) -> None:
        """Count what stands between two strings."""
        for bracket in text.translate(None, NO_BRACKETS):
            self.depth += 1 if bracket in b"[{" else -1
            if not 0 <= self.depth <= DEEPEST:
                raise ApiError(400, "the body is not JSON, or is nested too deep", "invalid_json")
        self.strings += text.endswith(b'"')
        self.items += text.count(b",") + text.count(b"[") + text.count(b"{")
        self.keys += text.count(b":")
        for most, found, what in (
            (self.limits.items, self.items, "items"),
            (self.limits.keys, self.keys, "keys"),
            (self.limits.items + self.limits.keys, self.strings, "strings"),
        ):
            if found > most:
                raise ApiError(413, f"the body has too many {what}: {most:,} are the most", "too_large")
        self.count(text)

    def string(self, piece: bytes, place: int, left: list[bytes]) -> int:
        """Read on in a string; gives the place behind what was read."""
        start = place + self.escaped
        found = STRING.match(piece, start)
        end = found.end() if found else start
        closed = end < len(piece) and piece[end] == ord('"')
        self.escaped = end < len(piece) and not closed
        self.held.append(piece[place : len(piece) if self.escaped else end])
        if not closed:
            return len(piece)
        whole, self.held, self.inside = b"".join(self.held), [], False
        left += [self.kept(whole), b'"']
        return end + 1

    def kept(self, string: bytes) -> bytes:
        """What stays of a whole string in the body."""
        plain = string
        if len(string) >= ESCAPED and b"\\" in string:
            for escape, meant in ((rb"\/", b"/"), (rb"\n", b""), (rb"\r", b""), (rb"\t", b"")):
                plain = plain.replace(escape, meant)
        if len(string) >= LIFTED and b"\\" not in plain and plain.isascii():
            self.lifted.append(plain)
            string = json.dumps(f"{MARK}{len(self.lifted) - 1}")[1:-1].encode()
        self.count(string)
        return string

    def count(self, text: bytes) -> None:
        self.text += len(text)
        if self.text > self.limits.text:
            message = f"the body has too much text: {self.limits.text:,} bytes are the most besides pictures"
            raise ApiError(413, message, "too_large")


def put_back(parsed: Any, lifted: list[bytes]) -> Any:
    """A parsed body with its long strings."""
    known = {f"{MARK}{place}": string for place, string in enumerate(lifted)}
    whole = [parsed]
    todo: list[Any] = [whole]
    while todo:
        part = todo.pop()
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, (dict, list)):
                todo.append(value)
            elif isinstance(value, str) and value in known:
                part[key] = known[value].decode()
    return whole[0]


class WholeRequest(Request):
    """A request whose long strings were lifted out by ``Scan``."""

    async def json(self) -> Any:
        if not hasattr(self, "_whole"):
            try:
                self._whole = put_back(await super().json(), self.scope["state"].get("lifted", []))
            except json.JSONDecodeError:
                raise
            except (ValueError, RecursionError) as problem:  # numbers of thousands of digits, half characters
                raise ApiError(400, "the body is not JSON", "invalid_json") from problem
        return self._whole


class Route(APIRoute):
    """A route that reads JSON bodies as ``Scan`` leaves them."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(WholeRequest(request.scope, request.receive))

        return handle
