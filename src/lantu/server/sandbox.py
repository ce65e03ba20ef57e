"""Decodes large pictures in a child process.

The WebP decoder holds the interpreter lock, and every decoder leaves memory behind. In a child process neither disturbs
other clients, and a decoder that crashes takes nothing else down. The child ends when it has been idle for a while,
which returns its memory.

Messages both ways are a line of JSON followed by bytes: {"bytes": N, "decoding": {…}} and the file;
{"pictures": [{"mode", "size"}, …]} and their pixels, or {"error": [message, hint]}.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import sys
from typing import Any

from PIL import Image

from lantu.errors import ImageError
from lantu.server import uploads
from lantu.server.uploads import Decoding

log = logging.getLogger("lantu.server")

IDLE_S = 10.0  # after which the child ends
TIMEOUT_S = 60.0  # for one picture
SMALL = 300_000  # pixels up to which a picture is decoded in this process


class Sandbox:
    """Decodes pictures one at a time, small ones in this process and large ones in the child."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.child: asyncio.subprocess.Process | None = None
        self.idle_timer: asyncio.TimerHandle | None = None

    async def decode(self, data: bytes, decoding: Decoding, pixels: int) -> list[Image.Image]:
        """Decode a picture; see ``uploads.decode``.

        Args:
            pixels: number of pixels that will be decoded.

        Raises:
            ImageError: it can't be read.
        """
        async with self.lock:
            if pixels > SMALL:
                try:
                    return await self.decode_in_child(data, decoding)
                except OSError as problem:
                    log.warning("can't start a process to decode a picture (%s): decoding it in the server", problem)
            return await asyncio.to_thread(uploads.decode, data, decoding)

    async def decode_in_child(self, data: bytes, decoding: Decoding) -> list[Image.Image]:
        """Decode a picture in the child process, which is started if necessary.

        Raises:
            ImageError: it can't be read, or its decoder crashed or took too long.
            OSError: the child can't be started.
        """
        if self.idle_timer:
            self.idle_timer.cancel()
        if self.child is None or self.child.returncode is not None:
            self.child = await start_child(decoding.max_pixels)
        try:
            return await asyncio.wait_for(request(self.child, data, decoding), TIMEOUT_S)
        except (TimeoutError, EOFError, ConnectionError, ValueError) as problem:
            self.close()
            hint = "scale it down, or save it again as PNG"
            raise ImageError(f"can't read {decoding.param} as a picture: its decoder crashed", hint) from problem
        except BaseException:  # part of an answer may still be in the pipe
            self.close()
            raise
        finally:
            self.idle_timer = asyncio.get_running_loop().call_later(IDLE_S, self.close)

    def close(self) -> None:
        """Kill the child process."""
        if self.idle_timer:
            self.idle_timer.cancel()
        child, self.child = self.child, None
        if child is None:
            return
        if child.stdin:
            child.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            child.kill()

    async def end(self) -> None:
        """Kill the child process and wait for its end."""
        child = self.child
        self.close()
        if child:
            await child.wait()
            if child.stdin:
                with contextlib.suppress(ConnectionError):
                    await child.stdin.wait_closed()


async def start_child(max_pixels: int) -> asyncio.subprocess.Process:
    """Start the child process. Ctrl-C does not reach it; it ends when this process closes its input.

    Raises:
        OSError: it can't be started.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = (sys.executable, "-P", "-m", "lantu.server.sandbox", str(max_pixels))
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True
    )


async def request(child: asyncio.subprocess.Process, data: bytes, decoding: Decoding) -> list[Image.Image]:
    """Have the child decode one picture.

    Raises:
        ImageError: it can't be read.
        EOFError, ConnectionError: the child ended.
    """
    assert child.stdin
    assert child.stdout
    header = {"bytes": len(data), "decoding": dataclasses.asdict(decoding)}
    try:
        child.stdin.write(json.dumps(header).encode() + b"\n")
        child.stdin.write(data)
        await child.stdin.drain()
    except RuntimeError as problem:  # so says uvloop of a pipe whose other end is gone
        raise ConnectionError(str(problem)) from problem
    answer = json.loads(await child.stdout.readline() or b"null")
    if answer is None:
        raise EOFError
    if "error" in answer:
        raise ImageError(*answer["error"])
    pictures = []
    for picture in answer["pictures"]:
        mode, (width, height) = picture["mode"], picture["size"]
        pixels = await child.stdout.readexactly(width * height * len(mode))
        pictures.append(Image.frombytes(mode, (width, height), pixels))
    return pictures


def main(max_pixels: int) -> None:
    """The child process: decodes pictures until its input ends."""
    if sys.platform == "linux":
        import resource

        limit = 1_000_000_000 + 120 * max_pixels  # bytes, enough for any honest picture
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os.nice(5)  # drawing has priority
    while line := sys.stdin.buffer.readline():
        header = json.loads(line)
        data = sys.stdin.buffer.read(header["bytes"])
        answer: dict[str, Any]
        pictures: list[Image.Image] = []
        try:
            pictures = uploads.decode(data, read_decoding(header["decoding"]))
            answer = {"pictures": [{"mode": picture.mode, "size": picture.size} for picture in pictures]}
        except ImageError as problem:
            answer = {"error": [problem.message, problem.hint]}
        except MemoryError:
            answer = {"error": ["the picture needs too much memory", "scale it down"]}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        for picture in pictures:
            sys.stdout.buffer.write(picture.tobytes())
        sys.stdout.buffer.flush()


def read_decoding(fields: dict[str, Any]) -> Decoding:
    """A ``Decoding`` from JSON, where its tuple is a list."""
    fit = fields["fit"]
    return Decoding(**fields | {"fit": fit and (fit[0], fit[1])})


if __name__ == "__main__":
    main(int(sys.argv[1]))
