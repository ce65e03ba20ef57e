"""What trainings will take, measured before they begin, and the time that is left for all."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lantu.errors import LantuError

AFTER = 4.0  # times a dry run: what settings, scores and report take at least, most of it to begin


@dataclass
class Time:
    """The time that was asked for.

    Attributes:
        total_s: for everything.
        deadline: on the monotonic clock.
        after_s: for what follows training.
        begin_s: until a process of it has begun.
    """

    total_s: float
    deadline: float
    after_s: float
    begin_s: float = 0.0

    @classmethod
    def of(cls, minutes: float, spent_s: float, share: float) -> "Time":
        """So many minutes, of which earlier calls have used some.

        Args:
            share: of the time, for what follows training.
        """
        return cls(60 * minutes, time.monotonic() + 60 * minutes - spent_s, share * 60 * minutes)

    @property
    def left_s(self) -> float:
        """Until the deadline; 0 after it."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def training_s(self) -> float:
        """For training."""
        return max(0.0, self.left_s - self.after_s)

    def measured(self, facts: Sequence[Mapping[str, Any]]) -> None:
        """Reserve enough for what follows training, on a machine as slow as a dry run shows."""
        slowest = max(float(one["wall_s"]) for one in facts)
        self.after_s, self.begin_s = max(self.after_s, AFTER * slowest), max(self.begin_s, slowest)

    def extend(self, seconds: float) -> None:
        """Move the deadline where so many seconds from now are needed at least."""
        self.deadline = max(self.deadline, time.monotonic() + seconds)


def dry_runs(commands: Sequence[Sequence[str]], threads: int) -> list[Mapping[str, Any]]:
    """What ``--dry-run`` says of some trainings that run at the same time, on so many threads each.

    "wall_s" is added: seconds that each dry run took.

    Raises:
        LantuError: one was refused, or killed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "lantu", *command, "--dry-run", "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for command in commands
        ]
        for process in running:
            stack.callback(process.kill)
        ends: dict[int, tuple[str, str, float]] = {}

        def wait(number: int, process: "subprocess.Popen[str]") -> None:
            ends[number] = (*process.communicate(), time.monotonic() - began)

        waiting = [threading.Thread(target=wait, args=each, daemon=True) for each in enumerate(running)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        return [facts_of(process, *ends[number]) for number, process in enumerate(running)]


def facts_of(process: "subprocess.Popen[str]", out: str, messages: str, wall_s: float) -> Mapping[str, Any]:
    """What a dry run printed. Raises as ``dry_runs``."""
    if process.returncode == -signal.SIGKILL:
        raise LantuError("a training was killed while it was measured: memory is short", "take a smaller --size")
    if process.returncode:
        lines = messages.strip().splitlines()
        raise LantuError(lines[-1].removeprefix("lantu: ") if lines else "a training can't be measured")
    return {**json.loads(out), "wall_s": wall_s}
