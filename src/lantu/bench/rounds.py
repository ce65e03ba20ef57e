"""Timing: all in turn, again and again, so that a machine that slows down slows all equally."""

import statistics
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Seconds:
    """The times of some rounds."""

    median: float
    least: float
    most: float
    rounds: int


def measure(work: dict[Key, Callable[[], object]], rounds: int) -> dict[Key, Seconds]:
    """Time each piece of work, after one round that doesn't count."""
    times: dict[Key, list[float]] = {key: [] for key in work}
    for number in range(rounds + 1):
        for key, piece in work.items():
            started = time.perf_counter()
            piece()
            if number:
                times[key].append(time.perf_counter() - started)
    return {key: spread(each) for key, each in times.items()}


def spread(times: Iterable[float]) -> Seconds:
    """Median, least and most."""
    times = list(times)
    return Seconds(statistics.median(times), min(times), max(times), len(times))
