"""Memory of request bodies: how much is in use, and returning it to the system.

glibc keeps freed memory for later, so a server that once received large bodies would stay large.
"""

import asyncio
import ctypes
import sys
from collections.abc import Callable

HEAVY = 1_000_000  # bytes of a body that make trimming worthwhile
DELAY_S = 1.0  # after a heavy request, so that several are trimmed at once


class BodyMemory:
    """Counts the bytes of bodies that requests hold, and trims freed memory after heavy ones.

    Attributes:
        in_use: bytes of all bodies of unfinished requests.
    """

    def __init__(self) -> None:
        self.in_use = 0
        self.timer: asyncio.TimerHandle | None = None

    def release(self, size: int) -> None:
        """A request with a body of so many bytes has ended."""
        self.in_use -= size
        if size > HEAVY and self.timer is None and malloc_trim is not None:
            self.timer = asyncio.get_running_loop().call_later(DELAY_S, self.trim)

    def trim(self) -> None:
        """Return freed memory to the system, on another thread."""
        self.timer = None
        if malloc_trim is not None:
            asyncio.get_running_loop().run_in_executor(None, malloc_trim, 0)


def find_malloc_trim() -> Callable[[int], int] | None:
    """glibc's ``malloc_trim``; None where there is none."""
    try:
        return ctypes.CDLL(None).malloc_trim if sys.platform == "linux" else None
    except (OSError, AttributeError):
        return None


malloc_trim = find_malloc_trim()
