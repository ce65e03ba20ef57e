"""Training for so many processor seconds, not for so many by the clock: on a shared machine only those compare.

A run goes at a constant rate for four fifths of its budget; then its length is set so that the rate falls in the last
fifth. A run that is killed goes on from its checkpoint, one that has ended from where its rate began to fall.
"""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lantu import recipes
from lantu.files import write_json
from lantu.training.checkpoint import BEFORE_DECAY, numbered

STABLE, ENDLESS, WRITTEN_S = 0.8, 1_000_000, 10.0


class Metered:
    """One part's training.

    Args:
        name: part and recipe.
        out: folder of the run; its times are kept beside it.
        clock: seconds that count: of the processor, or of a GPU.
    """

    def __init__(
        self, name: tuple[str, str], data: Path, out: Path, settings: Sequence[str], clock: Callable[[], float]
    ):
        self.name, self.data, self.out, self.settings, self.clock = name, data, out, list(settings), clock
        self.notes = out.with_name(out.name + "-seconds.json")
        try:
            self.known: dict[str, Any] = json.loads(self.notes.read_text())
        except (OSError, ValueError):
            self.known = {"stable": 0.0, "budget": 0.0, "seconds": 0.0}

    def train(self, seconds: float, device: str) -> dict[str, Any]:
        """Train until the budget is used up; returns seconds, and the step that was reached."""
        if self.known["budget"] >= seconds:
            return self.known
        if not self.known.get("step") or self.known["stable"] < STABLE * seconds:
            self.known["stable"] = self.session(ENDLESS, self.known["stable"], STABLE * seconds, "stable", device)
            self.known["step"] = json.loads((numbered(self.out / "checkpoints")[0] / "state.json").read_text())["step"]
            write_json(self.notes, self.known)
        steps = math.ceil(self.known["step"] / STABLE) + 1
        total = self.session(steps, self.known["stable"], math.inf, "", device)
        self.known |= {"budget": seconds, "seconds": total, "steps": steps}
        write_json(self.notes, self.known)
        return self.known

    def session(self, steps: int, before: float, until: float, kept: str, device: str) -> float:
        """Train to ``steps``, or until so many seconds are used; returns the seconds used, with those ``before``."""
        start, done, stopped = self.clock(), threading.Event(), threading.Event()

        def watch() -> None:
            written = start
            while not done.wait(0.5):
                now = self.clock()
                if kept and now - written > WRITTEN_S:
                    written = now
                    write_json(self.notes, {**self.known, kept: before + now - start})
                # Before the loop listens, the signal would end the process.
                listening = signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None)
                if before + now - start >= until and listening and not stopped.is_set():
                    stopped.set()
                    os.kill(os.getpid(), signal.SIGTERM)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            settings = [f"loop.steps={steps}", f"loop.decay_fraction={1 - STABLE:g}"]
            resume = (
                any((self.out / "checkpoints").glob("step-*")) or (self.out / "checkpoints" / BEFORE_DECAY).is_dir()
            )
            changed = settings if resume else [*self.settings, *settings]
            summary: Any = recipes.train(
                *self.name, self.data, self.out, changed, resume=resume, device=device, progress=False
            )
        finally:
            done.set()
            watcher.join()
        if summary.reason == "interrupted" and not stopped.is_set():
            raise SystemExit("stopped; the same command goes on")
        return before + self.clock() - start


def cpu_or_gpu(device: str) -> Callable[[], float]:
    """The clock that counts: seconds of all of this process's threads, or by the wall beside a GPU of its own."""
    return time.monotonic if device.startswith("cuda") else time.process_time
