"""How fast drafting could be: every step reads the weights and caches once, and does the arithmetic, at full rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lantu.bench import machine
from lantu.bench.task import Drafting


@dataclass(frozen=True)
class Work:
    """What a step has to do.

    Attributes:
        weights: numbers, in bfloat16.
        cached: numbers in the caches of one picture's two rows, half way through it.
        codes: steps of a picture.
    """

    weights: int
    cached: float
    codes: int

    @classmethod
    def of(cls, task: Drafting) -> "Work":
        """A step of a task."""
        from lantu.weights import arrays, manifest
        from lantu.weights.architecture import Sizes

        sizes = Sizes.of(manifest.read("language", task.folder))
        state = arrays.read(task.folder)
        blocks = sum(value.size for name, value in state.items() if ".layers." in name)
        per_id = 2 * sizes.layers * sizes.key_value_heads * sizes.head_width
        return cls(blocks + task.count * sizes.width, 2 * per_id * (len(task.prefix) + task.limit / 2), task.limit)


@dataclass(frozen=True)
class Peaks:
    """The best rates of this machine: bytes a second, and operations a second of each way to multiply."""

    bandwidth_gb_s: float
    rates_gflop_s: dict[str, float]

    @classmethod
    def measure(cls, work: Work) -> "Peaks":
        """Of reading as many bytes as a step's weights have, and of multiplying."""
        return cls(machine.bandwidth_gb_s(2 * work.weights), machine.matrix_gflop_s())

    def __or__(self, other: "Peaks") -> "Peaks":
        """The better of two measurements: what slowed one of them is no limit of the machine."""
        rates = {name: max(rate, other.rates_gflop_s[name]) for name, rate in self.rates_gflop_s.items()}
        return Peaks(max(self.bandwidth_gb_s, other.bandwidth_gb_s), rates)


def roofline(work: Work, peaks: Peaks, pictures: Sequence[int]) -> dict[str, Any]:
    """How long drafting would take if every step only read the weights and caches once, or only did the arithmetic.

    Weights and caches are bfloat16, as they are stored. The arithmetic is that of the weights, without attention's. The
    rate is the highest that anything here reaches, in any precision: native code that only multiplies and adds, without
    reading, is among it, so that no library's weakness lowers the bound.
    """
    rate = max(peaks.rates_gflop_s.values())
    floors: dict[str, dict[str, float]] = {"drafting_s": {}, "reading_s": {}, "multiplying_s": {}}
    for count in pictures:
        reading = 2 * (work.weights + count * work.cached) / (peaks.bandwidth_gb_s * 1e9)
        multiplying = 2 * work.weights * 2 * count / (rate * 1e9)
        parts = (max(reading, multiplying), reading, multiplying)
        for name, seconds in zip(floors, parts, strict=True):
            floors[name][str(count)] = round(work.codes * seconds, 7)
    return {
        "bandwidth_gb_s": round(peaks.bandwidth_gb_s, 1),
        "matrix_gflop_s": round(rate),
        "matrix_rates_gflop_s": {name: round(value) for name, value in peaks.rates_gflop_s.items()},
        "weights_mb": round(2 * work.weights / 1e6, 1),
        "codes": work.codes,
        **floors,
    }
