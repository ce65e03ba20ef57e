"""Reasons to stop early, checked between two updates."""

import math
import signal
import threading
import time
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Listens for Ctrl-C and SIGTERM, and watches the time. A second signal stops at once, as usual.

    Args:
        minutes: from entering on; None for no limit.

    Attributes:
        reason: "" to continue, "interrupted" or "time".
    """

    def __init__(self, minutes: float | None):
        self.minutes, self.signalled = minutes, False
        self.former: dict[signal.Signals, Any] = {}
        self.began = time.monotonic()

    @property
    def reason(self) -> str:
        """Why training stops; "" while it continues."""
        if self.signalled:
            return "interrupted"
        return "time" if self.left_s <= 0 else ""

    @property
    def spent_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @property
    def left_s(self) -> float:
        """Seconds until the time is over; infinite without a limit."""
        return math.inf if self.minutes is None else 60 * self.minutes - self.spent_s

    def __enter__(self) -> "Stop":
        # Only the main thread can handle signals.
        if threading.current_thread() is threading.main_thread():
            self.former = {number: signal.signal(number, self.hear) for number in SIGNALS}
        return self

    def hear(self, *_: object) -> None:
        """Record a signal; the next one has its usual effect."""
        self.signalled = True
        self.restore()

    def restore(self) -> None:
        """Restore the former signal handlers."""
        for number, handler in self.former.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self.restore()
