"""``--dry-run``: the cost of a run, estimated from a few real updates. Writes nothing."""

import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lantu.training.config import LoopConfig
from lantu.training.device import choose_device
from lantu.training.distributed import joined
from lantu.training.feeding import feed, workers_for
from lantu.training.progress import duration
from lantu.training.simulated import Simulated
from lantu.training.task import Task
from lantu.training.trainer import Trainer


@dataclass(frozen=True)
class Measured:
    """The cost of a run.

    Attributes:
        device: as chosen.
        parameters: module → number of trained parameters.
        steps, samples_per_step: updates in all; samples in each, over all ranks.
        flops_per_sample: forward and backward; 0 if unknown.
        step_s: median seconds of an update.
        total_s: of the whole run, without samples and checkpoints.
        memory_bytes: the most that it took, of the GPU's memory or else of this process's.
        compiled: by torch.compile, which takes minutes before the first update.
        simulated: the same on many devices; None if that was not asked for.
    """

    device: str
    parameters: dict[str, int]
    steps: int
    samples_per_step: int
    flops_per_sample: float
    step_s: float
    total_s: float
    memory_bytes: int
    compiled: bool = False
    simulated: Simulated | None = None

    @property
    def samples_per_s(self) -> float:
        """Samples per second."""
        return self.samples_per_step / self.step_s

    def as_dict(self) -> dict[str, Any]:
        """The object that ``lantu train --dry-run --json`` prints."""
        facts = {**asdict(self), "samples_per_s": self.samples_per_s}
        if self.simulated is None:
            del facts["simulated"]
        return facts

    def text(self) -> str:
        """A few lines for a person."""
        counts = ", ".join(f"{name} {count / 1e6:.2f}M" for name, count in self.parameters.items())
        compiled = ", compiled" if self.compiled else ""
        lines = [
            f"parameters   {counts}",
            f"steps        {self.steps} of {self.samples_per_step} samples on {self.device}",
            f"speed        {1 / self.step_s:.3g} steps/s, {self.samples_per_s:.3g} samples/s{compiled}",
            f"time         {duration(self.total_s)}",
            f"memory       {self.memory_bytes / 1e9:.2f} GB",
        ]
        if self.flops_per_sample:
            total = self.flops_per_sample * self.samples_per_step * self.steps
            rate = self.flops_per_sample * self.samples_per_s
            lines.insert(
                2, f"compute      {self.flops_per_sample / 1e9:.3g} GFLOP/sample, {total / 1e12:.3g} TFLOP in all"
            )
            lines[3] += f", {rate / 1e9:.3g} GFLOP/s"
        return "\n".join([*lines, self.simulated.text()] if self.simulated else lines)


def measure(task: Task, config: LoopConfig, updates: int = 5, warm: int = 2) -> Measured:
    """Make some updates, the first ``warm`` of them unmeasured, and extrapolate.

    This changes the task's networks; nothing is written.

    Raises:
        RecipeError: there is no such device.
    """
    device = choose_device(config.device)
    with joined(device, config.tensor_parallel) as ranks:
        trainer = Trainer(task, config, device, ranks)
        count = warm + updates
        times = []
        workers = workers_for(config.workers, device, task, ranks.world)
        sizes = (config.batch_size, config.accumulate, 0, count)
        batches = feed(task, *sizes, ranks.data_rank, ranks.data_world, workers)
        with batches:
            for step in range(count):
                started = time.monotonic()
                trainer.update(step, batches.take())
                times.append(time.monotonic() - started)
        step_s = sorted(times[warm:])[updates // 2]
        return Measured(
            device=str(device),
            parameters={p.name: sum(value.numel() for value in p.named.values()) for p in trainer.modules},
            steps=config.steps,
            samples_per_step=config.batch_size * config.accumulate * ranks.data_world,
            flops_per_sample=task.flops_per_sample,
            step_s=step_s,
            total_s=step_s * config.steps,
            memory_bytes=peak_bytes(device),
            compiled=trainer.compiled,
        )


def peak_bytes(device: torch.device) -> int:
    """The most memory so far: what torch reserved of a GPU's, or what was resident of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
