"""The speed of a run, without the time that saving and sampling take."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Measures updates per second between two readings.

    Attributes:
        train_s: seconds of training so far, without pauses.
    """

    def __init__(self, step: int, train_s: float = 0.0):
        self.train_s = train_s
        self.step, self.spent_s, self.waited_s = step, 0.0, 0.0
        self.mark = time.monotonic()

    def start(self) -> None:
        """Start counting now."""
        self.mark = time.monotonic()

    def tick(self) -> None:
        """Count the time since the last tick or pause."""
        now = time.monotonic()
        self.train_s += now - self.mark
        self.spent_s += now - self.mark
        self.mark = now

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Don't count the time inside."""
        self.tick()
        try:
            yield
        finally:
            self.mark = time.monotonic()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.waited_s += time.monotonic() - began

    @property
    def waited_share(self) -> float:
        """The share of the time since the last reading that was spent waiting for data."""
        self.tick()
        return min(1.0, self.waited_s / max(self.spent_s, 1e-9))

    def read(self, step: int) -> float:
        """Updates per second since the last reading."""
        self.tick()
        rate = (step - self.step) / max(self.spent_s, 1e-9)
        self.step, self.spent_s, self.waited_s = step, 0.0, 0.0
        return rate
