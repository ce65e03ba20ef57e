"""A run's log: one JSON object per line, and the same values for TensorBoard."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any

from torch import Tensor

from lantu import files

Record = dict[str, Any]


class Window:
    """Metrics since the last line of the log. Tensors stay tensors: reading one would wait for the device."""

    def __init__(self, values: dict[str, list[float]] | None = None):
        self.values: dict[str, list[float | Tensor]] = {name: list(kept) for name, kept in (values or {}).items()}

    def add(self, metrics: dict[str, float | Tensor]) -> None:
        """Add the metrics of an update."""
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)

    def read(self) -> dict[str, list[float]]:
        """All values as numbers."""
        for name, values in self.values.items():
            self.values[name] = [float(value) for value in values]
        return self.values  # type: ignore[return-value]

    def means(self) -> dict[str, float | None]:
        """Each metric's mean over its finite values, None where there are none; clears the window."""
        finite = {name: [value for value in values if math.isfinite(value)] for name, values in self.read().items()}
        self.values = {}
        return {name: math.fsum(values) / len(values) if values else None for name, values in finite.items()}


class Log:
    """Writes ``log.jsonl`` and TensorBoard's event files to ``folder``.

    Args:
        step: updates done; lines of later updates, and a line that a kill truncated, are removed.

    Raises:
        DiskError: it can't be written.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / "log.jsonl"
        lines = [json.dumps(record) + "\n" for record in read_log(folder) if record["step"] <= step]
        files.write_text(self.path, "".join(lines))
        self.board = None
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            with files.writing(folder / "tensorboard"):
                self.board = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def write(self, record: Record) -> None:
        """Append a record."""
        with files.writing(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self.board:
            for name, value in record.items():
                if name != "step" and isinstance(value, int | float):
                    self.board.add_scalar(name, value, record["step"])

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        if self.board:
            self.board.close()


def read_log(folder: Path) -> list[Record]:
    """The records of a run's log, oldest first; none if there is no log."""
    records = []
    with contextlib.suppress(FileNotFoundError), open(folder / "log.jsonl", encoding="utf-8") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
    return records
