"""Large pictures are decoded in a process of their own.

Decoders of WebP hold the interpreter, and all of them leave memory behind: there it stops no client and is given back
when the process ends, which it does when it has had nothing to do for a while. A decoder that breaks takes nothing
else with it.

Each way a line of JSON, then so many bytes as it says: {"bytes", "want"} → {"pictures": [{"mode", "size"}, …]} with
their pixels, or {"error": [message, hint]}.
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
from lantu.server.uploads import Wanted

log = logging.getLogger("lantu.server")

IDLE_S = 10.0
LIMIT_S = 60.0  # for one picture
SMALL = 300_000  # pixels of one that is decoded in this process


class Sandbox:
    """Decodes pictures one at a time, small ones here and others there."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.child: asyncio.subprocess.Process | None = None
        self.rest: asyncio.TimerHandle | None = None

    async def reduced(self, data: bytes, want: Wanted, pixels: int) -> list[Image.Image]:
        """See ``uploads.reduced``.

        Args:
            pixels: that will be decoded.

        Raises:
            ImageError: it can't be read.
        """
        async with self.turn:
            if pixels > SMALL:
                try:
                    return await self.there(data, want)
                except OSError as problem:
                    log.warning("no process to decode a picture in (%s): it is decoded here", problem)
            return await asyncio.to_thread(uploads.reduced, data, want)

    async def there(self, data: bytes, want: Wanted) -> list[Image.Image]:
        if self.rest:
            self.rest.cancel()
        if self.child is None or self.child.returncode is not None:
            self.child = await begin(want.most_pixels)
        try:
            return await asyncio.wait_for(ask(self.child, data, want), LIMIT_S)
        except (TimeoutError, EOFError, ConnectionError, ValueError) as problem:
            self.close()
            hint = "scale it down, or save it anew as PNG"
            raise ImageError(f"can't read {want.param} as a picture: its decoder broke", hint) from problem
        except BaseException:  # half an answer is on its way
            self.close()
            raise
        finally:
            self.rest = asyncio.get_running_loop().call_later(IDLE_S, self.close)

    def close(self) -> None:
        """End the process."""
        if self.rest:
            self.rest.cancel()
        child, self.child = self.child, None
        if child is None:
            return
        if child.stdin:
            child.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            child.kill()

    async def end(self) -> None:
        """End the process and wait until it has."""
        child = self.child
        self.close()
        if child:
            await child.wait()
            if child.stdin:
                with contextlib.suppress(ConnectionError):
                    await child.stdin.wait_closed()


async def begin(most_pixels: int) -> asyncio.subprocess.Process:
    """The process. Ctrl-C does not reach it; it ends with this one, for then nothing can come any more."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = (sys.executable, "-P", "-m", "lantu.server.sandbox", str(most_pixels))
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True
    )


async def ask(child: asyncio.subprocess.Process, data: bytes, want: Wanted) -> list[Image.Image]:
    """One picture.

    Raises:
        ImageError: it can't be read.
        EOFError, ConnectionError: the process ended.
    """
    assert child.stdin
    assert child.stdout
    child.stdin.write(json.dumps({"bytes": len(data), "want": dataclasses.asdict(want)}).encode() + b"\n")
    child.stdin.write(data)
    await child.stdin.drain()
    answer = json.loads(await child.stdout.readline() or b"null")
    if answer is None:
        raise EOFError
    if "error" in answer:
        raise ImageError(*answer["error"])
    pictures = []
    for told in answer["pictures"]:
        size = told["size"][0], told["size"][1]
        pixels = await child.stdout.readexactly(size[0] * size[1] * len(told["mode"]))
        pictures.append(Image.frombytes(told["mode"], size, pixels))
    return pictures


def main(most_pixels: int) -> None:
    """The process's side, until its input ends."""
    if sys.platform == "linux":
        import resource

        most = 1_000_000_000 + 120 * most_pixels  # bytes; of a client's picture no more is believed
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        os.nice(5)  # drawing goes first
    while line := sys.stdin.buffer.readline():
        told = json.loads(line)
        data = sys.stdin.buffer.read(told["bytes"])
        answer: dict[str, Any]
        pictures: list[Image.Image] = []
        try:
            pictures = uploads.reduced(data, wanted(told["want"]))
            answer = {"pictures": [{"mode": picture.mode, "size": picture.size} for picture in pictures]}
        except ImageError as problem:
            answer = {"error": [problem.message, problem.hint]}
        except MemoryError:
            answer = {"error": ["the picture takes too much memory", "scale it down"]}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        for picture in pictures:
            sys.stdout.buffer.write(picture.tobytes())
        sys.stdout.buffer.flush()


def wanted(told: dict[str, Any]) -> Wanted:
    return Wanted(**told | {"fit": told["fit"] and (told["fit"][0], told["fit"][1])})


if __name__ == "__main__":
    main(int(sys.argv[1]))
