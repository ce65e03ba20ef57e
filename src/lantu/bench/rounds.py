"""Timing: all in turn, again and again, so that a machine that slows down slows all equally."""

import statistics
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Progress = Callable[[int, int, Hashable], None]


@dataclass(frozen=True)
class Seconds:
    """The times of some rounds."""

    median: float
    least: float
    most: float
    rounds: int


def measure(
    work: dict[Key, Callable[[], object]],
    rounds: int,
    progress: Progress | None = None,
    until: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, Seconds]:
    """Time each piece of work, after one round that doesn't count.

    Args:
        progress: told, before each piece, how many are done of how many, and which comes next.
        until: when to stop, by the clock. A piece that would take longer than the time that is left, judged by its
            last turn, misses its turn; a piece that got no turn that counts is not in the result.
    """
    times: dict[Key, list[float]] = {key: [] for key in work}
    last = dict.fromkeys(work, 0.0)
    total, done = (rounds + 1) * len(work), 0
    for number in range(rounds + 1):
        for key, piece in work.items():
            done += 1
            if clock() + last[key] >= until or (number and not last[key]):
                continue
            if progress:
                progress(done - 1, total, key)
            started = clock()
            piece()
            last[key] = clock() - started
            if number:
                times[key].append(last[key])
    return {key: spread(each) for key, each in times.items() if each}


def spread(times: Iterable[float]) -> Seconds:
    """Median, least and most."""
    times = list(times)
    return Seconds(statistics.median(times), min(times), max(times), len(times))
