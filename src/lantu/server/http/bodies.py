"""Limits for JSON bodies, checked while a body arrives and before it is parsed: bytes, items, keys, nesting.

The parser holds the interpreter lock, so parsing some megabytes of small items would stall every other client. A body
with too many items is therefore refused as soon as the first surplus item arrives. Bodies are scanned in pieces, and
other requests run between the pieces. A picture in base64 is one long string: long strings are cut out of the body, the
small rest is parsed, and the strings are put back afterwards.
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

PIECE = 16_384  # bytes scanned at a time, which takes some milliseconds at worst
LONG_STRING = 4_096  # bytes of a string that is cut out
WRAPPED_STRING = 65_536  # bytes of a string whose line ends and escaped slashes are removed, as in wrapped base64
MAX_DEPTH = 64
PLACEHOLDER = "\0lifted:"
# The rest of a string up to its closing quote, or up to a backslash at the very end of the data.
STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MULTIPART_ROUTES = ("/v1/images/edits", "/v1/lantu/tokenize", "/v1/lantu/read")


@dataclass(frozen=True)
class Limits:
    """The most that a route's body may contain.

    Attributes:
        bytes: in total.
        text: bytes apart from long strings without escapes, such as pictures in base64.
        items: commas and opening brackets.
        keys: of all objects together.
    """

    bytes: int
    text: int = 512_000  # a prompt of 32,000 characters with six bytes each, and some more
    items: int = 1_000
    keys: int = 200


def limits_of(path: str, options: Options) -> Limits:
    """The limits of a route's body; ``Options.max_body`` bounds them all."""
    large, small = options.max_body, min(options.max_body, 512_000)
    grids = 24_000  # a grid of 64 by 64 codes, and each of its cells by row and column
    match path:
        case "/v1/chat/completions":
            return Limits(large, text=2_000_000, items=24_000, keys=6_000)
        case "/v1/lantu/redraw":
            return Limits(large, items=grids)
        case "/v1/lantu/draw" | "/v1/images/edits" | "/v1/lantu/tokenize" | "/v1/lantu/read":
            return Limits(large)
        case "/v1/lantu/render" | "/v1/lantu/instruct" | "/v1/lantu/caption":
            return Limits(small, items=grids)
    return Limits(small)


class Scanner:
    """Scans the structure of a JSON body, and cuts long strings out of it.

    Attributes:
        strings: the strings cut out, in their order.
    """

    def __init__(self, limits: Limits):
        self.limits, self.strings = limits, list[bytes]()
        self.in_string = self.escaped = False  # escaped: the next byte follows a backslash
        self.string_pieces: list[bytes] = []  # of the string that is being read
        self.text = self.items = self.keys = self.depth = self.quoted = 0

    async def feed(self, chunk: bytes) -> bytes:
        """Scan a chunk of the body, and return it without long strings.

        Raises:
            ApiError: the body exceeds the limits, or is not JSON.
        """
        kept = []
        for start in range(0, len(chunk), PIECE):
            if start:
                await asyncio.sleep(0)
            kept += self.scan(chunk[start : start + PIECE])
        return b"".join(kept)

    def scan(self, piece: bytes) -> list[bytes]:
        """Scan a piece, and return its parts that stay in the body."""
        kept, start = list[bytes](), 0
        while start < len(piece):
            if self.in_string:
                start = self.read_string(piece, start, kept)
                continue
            quote = piece.find(b'"', start)
            end = len(piece) if quote < 0 else quote + 1
            self.count_structure(piece[start:end])
            kept.append(piece[start:end])
            self.in_string, start = quote >= 0, end
        return kept

    def count_structure(self, text: bytes) -> None:
        """Count brackets, commas and colons between two strings.

        Raises:
            ApiError: there are too many, or the nesting is too deep.
        """
        for bracket in text.translate(None, NO_BRACKETS):
            self.depth += 1 if bracket in b"[{" else -1
            if not 0 <= self.depth <= MAX_DEPTH:
                raise ApiError(400, "the body is not JSON, or is nested too deeply", "invalid_json")
        self.quoted += text.endswith(b'"')
        self.items += text.count(b",") + text.count(b"[") + text.count(b"{")
        self.keys += text.count(b":")
        for limit, count, noun in (
            (self.limits.items, self.items, "items"),
            (self.limits.keys, self.keys, "keys"),
            (self.limits.items + self.limits.keys, self.quoted, "strings"),
        ):
            if count > limit:
                raise ApiError(413, f"the body has too many {noun}: the limit is {limit:,}", "too_large")
        self.count_text(text)

    def read_string(self, piece: bytes, start: int, kept: list[bytes]) -> int:
        """Read on in a string; returns the place after what was read."""
        begin = start + self.escaped
        match = STRING_REST.match(piece, begin)
        end = match.end() if match else begin
        closed = end < len(piece) and piece[end] == ord('"')
        self.escaped = end < len(piece) and not closed
        self.string_pieces.append(piece[start : len(piece) if self.escaped else end])
        if not closed:
            return len(piece)
        string, self.string_pieces, self.in_string = b"".join(self.string_pieces), [], False
        kept += [self.cut_out(string), b'"']
        return end + 1

    def cut_out(self, string: bytes) -> bytes:
        """Cut a whole string out if it is long; returns what stays in the body."""
        plain = string
        if len(string) >= WRAPPED_STRING and b"\\" in string:
            for escape, unescaped in ((rb"\/", b"/"), (rb"\n", b""), (rb"\r", b""), (rb"\t", b"")):
                plain = plain.replace(escape, unescaped)
        if len(string) >= LONG_STRING and b"\\" not in plain and plain.isascii():
            self.strings.append(plain)
            string = json.dumps(f"{PLACEHOLDER}{len(self.strings) - 1}")[1:-1].encode()
        self.count_text(string)
        return string

    def count_text(self, text: bytes) -> None:
        """Count bytes that stay in the body.

        Raises:
            ApiError: there are too many.
        """
        self.text += len(text)
        if self.text > self.limits.text:
            message = f"the body has too much text: the limit is {self.limits.text:,} bytes, pictures excluded"
            raise ApiError(413, message, "too_large")


def put_back(parsed: Any, strings: list[bytes]) -> Any:
    """A parsed body with its long strings in place of the placeholders."""
    by_placeholder = {f"{PLACEHOLDER}{place}": string for place, string in enumerate(strings)}
    whole = [parsed]
    todo: list[Any] = [whole]
    while todo:
        part = todo.pop()
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, (dict, list)):
                todo.append(value)
            elif isinstance(value, str) and value in by_placeholder:
                part[key] = by_placeholder[value].decode()
    return whole[0]


class WholeRequest(Request):
    """A request whose ``json`` puts back the long strings that ``Scanner`` cut out."""

    async def json(self) -> Any:
        """The parsed body.

        Raises:
            JSONDecodeError, ApiError: it is not JSON.
        """
        if not hasattr(self, "_whole"):
            try:
                self._whole = put_back(await super().json(), self.scope["state"].get("long_strings", []))
            except json.JSONDecodeError:
                raise
            except (ValueError, RecursionError) as problem:  # numbers of thousands of digits, lone surrogates
                raise ApiError(400, "the body is not JSON", "invalid_json") from problem
        return self._whole


class Route(APIRoute):
    """A route whose handler receives a ``WholeRequest``."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The framework's handler, called with a ``WholeRequest``."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(WholeRequest(request.scope, request.receive))

        return handle
