"""Who is timed when: each row as soon as its engine is warm, in turn with lantu's own row, within a cap on time.

A ratio is of two times that were measured one after the other, so that whatever else the machine does slows both. Own
rows come first; then whichever row is expected to need the least time. A row that is not expected to end before the cap
isn't begun, and how long it would take is said instead.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Part of the report, name of the engine, number of pictures.
Key = tuple[str, str, int]
Progress = Callable[[int, int, Key], None]
Clock = Callable[[], float]

CAREFUL = 1.5  # a guess is often too low on a machine that does other things; what was measured is less so
MEASURED = 1.15


@dataclass(frozen=True)
class Row:
    """What is timed, and beside what.

    Attributes:
        load: prepares the engine; called before each attempt, so it is quick the second time.
        attempt: a first run, which compiles and fills caches; the expected seconds of a turn, or None if it can't tell.
        work: what is timed.
        reference: lantu's row of as many pictures; None for that row itself.
        warming: a guess of the seconds for ``load`` and ``attempt``, on an idle machine.
        slower: a guess of the time for ``work``, in times of the reference.
    """

    load: Callable[[], object]
    attempt: Callable[[], float | None]
    work: Callable[[], object]
    reference: Key | None = None
    warming: float = 0.0
    slower: float = 1.0


@dataclass
class Timed:
    """The times of a row: all its turns, and ratios to its reference's turn just before."""

    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """How many times the reference's time it takes; None if it has no reference."""
        return statistics.median(self.ratios) if self.ratios else None


class Turns:
    """Times rows in turn.

    Args:
        rows: in the order in which they are reported; references before the others.
        rounds: turns of each row, if there is time.
        until: when to stop, by the clock.
        progress: told, before each turn, how many are done of how many, and which row comes next.
        slowdown: how many times longer than on an idle machine things take; for guesses alone.

    Attributes:
        timed: the rows that got a turn.
    """

    def __init__(
        self,
        rows: Mapping[Key, Row],
        rounds: int,
        until: float = float("inf"),
        progress: Progress | None = None,
        clock: Clock = time.perf_counter,
        slowdown: float = 1.0,
    ):
        self.rows, self.rounds, self.until, self.clock, self.slowdown = rows, rounds, until, clock, slowdown
        self.progress = progress or (lambda done, total, key: None)
        self.timed: dict[Key, Timed] = {}
        self.expected_s: dict[Key, float] = {}  # of the next turn, of rows that have run
        self.compiling_s: dict[tuple[str, str], float] = {}  # of the last attempt of an engine that is loaded

    def run(self) -> None:
        """A turn of each row for which there is time, then the other rounds."""
        waiting = list(self.rows)
        while waiting:
            key = min(waiting, key=lambda key: (self.rows[key].reference is not None, self.needs_s(key)))
            waiting.remove(key)
            if self.fits(key) and self.warm(key):
                self.turn(key)
        for _ in range(1, self.rounds):
            for key in self.rows:
                if key in self.timed and len(self.timed[key].seconds) < self.rounds and self.fits(key):
                    self.turn(key)

    def late(self) -> dict[Key, float]:
        """The rows that got no turn, those that need the least time first, and the seconds that each would take."""
        late = {key: self.needs_s(key) for key in self.rows if key not in self.timed}
        return dict(sorted(late.items(), key=lambda item: item[1]))

    def fits(self, key: Key) -> bool:
        """Whether a row's next turn is expected to end in time."""
        return self.clock() + self.needs_s(key) < self.until

    def needs_s(self, key: Key) -> float:
        """The seconds that a row's next turn is expected to take, with its reference's and with warming up."""
        row = self.rows[key]
        reference = self.usual_s(row.reference) if row.reference else 0.0
        if key in self.expected_s:
            return MEASURED * (self.expected_s[key] + reference)
        warming = self.compiling_s.get(key[:2], row.warming * self.slowdown)
        alone = row.slower * reference if row.reference else self.usual_s(key)
        return CAREFUL * (warming + alone) + reference

    def usual_s(self, key: Key) -> float:
        """The seconds of a row's turn; where it hasn't run, those of another batch of the same engine, or 0."""
        alike = [took for other, took in self.expected_s.items() if other[:2] == key[:2]]
        return self.expected_s.get(key, max(alike, default=0.0))

    def warm(self, key: Key) -> bool:
        """Load a row's engine and try it; whether there is time for a turn now."""
        row = self.rows[key]
        self.tell(key)
        row.load()
        started = self.clock()
        expected = row.attempt()
        self.compiling_s[key[:2]] = took = self.clock() - started
        if expected is None:
            expected = row.slower * self.expected_s[row.reference] if row.reference in self.expected_s else took
        self.expected_s[key] = expected
        return self.fits(key)

    def turn(self, key: Key) -> None:
        """Time a row right after its reference."""
        row = self.rows[key]
        self.tell(key)
        beside = self.time(row.reference) if row.reference in self.timed else None
        took = self.time(key)
        if beside:
            self.timed[key].ratios.append(took / beside)

    def time(self, key: Key) -> float:
        """One run of a row: its seconds, which are kept."""
        started = self.clock()
        self.rows[key].work()
        took = self.expected_s[key] = self.clock() - started
        self.timed.setdefault(key, Timed()).seconds.append(took)
        return took

    def tell(self, key: Key) -> None:
        """Report progress; a reference is done when it has as many turns as are asked for."""
        done = sum(min(self.rounds, len(each.seconds)) for each in self.timed.values())
        self.progress(done, self.rounds * len(self.rows), key)
