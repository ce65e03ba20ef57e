"""The display of a run: a progress bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TextIO

WARNING = "warning: "
SHOWN = ("loss", "lr", "samples_per_s", "gflop_per_s", "waiting", "left_s", "val_loss", "val_psnr", "val_lpips")
LONG_WAIT = 0.1  # share of the time


class Progress(Protocol):
    """Is called at every update and every line of the log."""

    def step(self, done: int) -> None:
        """So many updates are done."""
        ...

    def record(self, record: dict[str, Any]) -> None:
        """A line of the log was written."""
        ...

    def say(self, message: str) -> None:
        """Show a message."""
        ...

    def warn(self, message: str) -> None:
        """Show what a person should know even where nothing else is shown."""
        ...

    def close(self) -> None:
        """The run has ended."""
        ...


class Silent:
    """Shows nothing."""

    def step(self, done: int) -> None:
        pass

    def record(self, record: dict[str, Any]) -> None:
        pass

    def say(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        self.say(f"{WARNING}{message}")

    def close(self) -> None:
        pass


class Quiet(Silent):
    """Shows warnings alone."""

    def warn(self, message: str) -> None:
        print(f"{WARNING}{message}", file=sys.stderr, flush=True)


class Plain(Silent):
    """One line per line of the log."""

    def __init__(self, steps: int, stream: TextIO):
        self.steps, self.stream = steps, stream

    def record(self, record: dict[str, Any]) -> None:
        self.say(f"step {record['step']}/{self.steps}  {describe(record)}")

    def say(self, message: str) -> None:
        print(message, file=self.stream, flush=True)


class Bar(Silent):
    """A rich progress bar."""

    def __init__(self, steps: int):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (BarColumn(None), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
        # A low refresh rate, for the cores are busy.
        self.validated: dict[str, Any] = {}  # the newest validation, which stays to be seen
        self.bar = RichProgress(*columns, console=Console(stderr=True), refresh_per_second=2)
        self.row = self.bar.add_task("", total=steps, text="")
        self.bar.start()

    def step(self, done: int) -> None:
        self.bar.update(self.row, completed=done)

    def record(self, record: dict[str, Any]) -> None:
        self.validated |= validated([record])
        self.bar.update(self.row, text=describe(self.validated | record))

    def say(self, message: str) -> None:
        self.bar.console.print(message, markup=False, highlight=False)

    def close(self) -> None:
        self.bar.stop()


def make_progress(steps: int, shown: bool) -> Progress:
    """The display for stderr: warnings alone, a bar, or plain lines."""
    if not shown:
        return Quiet()
    return Bar(steps) if sys.stderr.isatty() else Plain(steps, sys.stderr)


def describe(record: Mapping[str, Any]) -> str:
    """``loss 0.1234  lr 1.0e-03  31.2 samples/s  410 GFLOP/s  left 1 h 12 min  validation 0.2345  PSNR 19.2 dB``."""
    forms = {
        "loss": lambda value: f"loss {value:.4f}",
        "lr": lambda value: f"lr {value:.1e}",
        "samples_per_s": lambda value: f"{value:.3g} samples/s",
        "gflop_per_s": lambda value: f"{value:.0f} GFLOP/s",
        "waiting": lambda value: f"waits for data {value:.0%} of the time" if value >= LONG_WAIT else "",
        "left_s": lambda value: f"left {duration(value)}",
        "val_loss": lambda value: f"validation {value:.4f}",
        "val_psnr": lambda value: f"PSNR {value:.1f} dB",
        "val_lpips": lambda value: f"LPIPS {value:.3f}",
    }
    told = (forms[name](record[name]) for name in SHOWN if record.get(name) is not None)
    return "  ".join(filter(None, told))


def validated(log: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest validation in some lines of a log; {} if there is none."""
    lines = [line for line in log if "val_loss" in line]
    return {name: value for line in lines[-1:] for name, value in line.items() if name.startswith("val_")}


def duration(seconds: float) -> str:
    """The two largest units: "2 h 05 min", "3 min 10 s", "12 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
