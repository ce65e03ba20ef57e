"""Memory goes back to the system when large bodies are gone: glibc keeps what it has, for years."""

import asyncio
import ctypes
import sys
from collections.abc import Callable

HEAVY = 1_000_000  # bytes of a body after which it is worth while
PAUSE_S = 1.0


class Trimmer:
    """Trims a moment after the last heavy request, and not once for each."""

    def __init__(self) -> None:
        self.due: asyncio.TimerHandle | None = None

    def trim_soon(self) -> None:
        if self.due is None and trim is not None:
            self.due = asyncio.get_running_loop().call_later(PAUSE_S, self.now)

    def now(self) -> None:
        self.due = None
        if trim is not None:
            asyncio.get_running_loop().run_in_executor(None, trim, 0)


def found() -> Callable[[int], int] | None:
    """glibc's ``malloc_trim``; None elsewhere."""
    try:
        return ctypes.CDLL(None).malloc_trim if sys.platform == "linux" else None
    except (OSError, AttributeError):
        return None


trim = found()
