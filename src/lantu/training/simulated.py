"""What a run takes on many devices, told on one: one rank of them updates, on a process group that only pretends.

torch's FSDP2 and tensor parallelism run as they would; the "fake" backend leaves out what the ranks exchange, so
numbers are wrong, and sizes are right. Only the time of the exchange is an estimate.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lantu.errors import RecipeError
from lantu.training.config import LoopConfig
from lantu.training.device import choose_device
from lantu.training.distributed import Ranks, local
from lantu.training.progress import duration
from lantu.training.task import Task
from lantu.training.trainer import Trainer

GIGABYTES_PER_S = 50.0  # of each device: 400 Gbit/s, as between machines of eight GPUs
GROUPS = ("c10d", "_c10d_functional")  # namespaces of operations that exchange something
TWICE = ("all_reduce", "allreduce_")  # a reduction and a gathering in one


@dataclass(frozen=True)
class Simulated:
    """A run on many devices.

    Attributes:
        devices, tensor_parallel: in all; that split each layer.
        state_bytes: of a device for its part of weights, averages and the optimizer's moments.
        memory_bytes: the most of a device, with gradients, gathered blocks and activations, without what the
            allocator wastes.
        exchanged_bytes: that a device receives in an update.
        samples_per_step: over all devices.
        step_s: seconds of an update at least and at most: with the exchange hidden behind the arithmetic, and after it.
        total_s: of the run, likewise.
    """

    devices: int
    tensor_parallel: int
    state_bytes: int
    memory_bytes: int
    exchanged_bytes: int
    samples_per_step: int
    step_s: tuple[float, float]
    total_s: tuple[float, float]

    def text(self) -> str:
        """A few lines for a person."""
        split = f", layers split among {self.tensor_parallel}" if self.tensor_parallel > 1 else ""
        low, high = map(duration, self.total_s)
        memory, stays = self.memory_bytes / 1e9, self.state_bytes / 1e9
        return "\n".join(
            [
                f"on {self.devices} devices like this one{split}, simulated:",
                f"memory       {memory:.2f} GB a device, {stays:.3g} GB of it to stay",
                f"exchange     {self.exchanged_bytes / 1e9:.3g} GB an update and device",
                f"speed        {self.samples_per_step} samples in {self.step_s[0]:.3g} to {self.step_s[1]:.3g} s",
                f"time         {low} to {high}, with {self.samples_per_step} samples a step",
            ]
        )


def simulate(
    task: Task, config: LoopConfig, alone_s: float, devices: int, gigabytes_per_s: float = GIGABYTES_PER_S
) -> Simulated:
    """One update as one of many devices makes it; the task's networks can't be used afterwards.

    Args:
        alone_s: seconds of an update of the same batches on one device, nothing split.
        gigabytes_per_s: that a device can receive.

    Raises:
        RecipeError: the devices can't be divided into groups of ``config.tensor_parallel``, or there is a run on
            several processes already.
    """
    if torch.distributed.is_initialized():
        raise RecipeError("devices are simulated by one process", "leave out torchrun")
    if devices % config.tensor_parallel or devices < 2:
        what = f"loop.tensor_parallel={config.tensor_parallel} does not divide {devices} devices"
        raise RecipeError(what, "give another number: --devices")
    torch.distributed.init_process_group("fake", rank=0, world_size=devices)
    try:
        ranks = Ranks(0, devices, config.tensor_parallel)
        trainer = Trainer(task, config, choose_device(config.device), ranks)
        peak, exchanged = update(trainer, [task.batch(step, config.batch_size) for step in range(config.accumulate)])
    finally:
        torch.distributed.destroy_process_group()
    # What each rank computes is measured: its own samples, or with split layers its part of a group's.
    alone = alone_s / config.tensor_parallel
    exchange = exchanged / (1e9 * gigabytes_per_s)
    times = max(alone, exchange), alone + exchange
    moments = moments_bytes(trainer)
    state = moments + sum(value.nbytes for value in kept(trainer))
    return Simulated(
        devices=devices,
        tensor_parallel=config.tensor_parallel,
        state_bytes=state,
        memory_bytes=peak + moments,
        exchanged_bytes=exchanged,
        samples_per_step=config.batch_size * config.accumulate * ranks.data_world,
        step_s=times,
        total_s=(times[0] * config.steps, times[1] * config.steps),
    )


def update(trainer: Trainer, batches: Sequence[Any]) -> tuple[int, int]:
    """Make one update; returns the most bytes of tensors at one time, and the bytes received."""
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker

    traffic = Traffic()
    with ExitStack() as stack:
        trackers = [FSDPMemTracker(module.network) for module in trainer.modules]
        for module, tracker in zip(trainer.modules, trackers, strict=True):
            if module.average:
                tracker.track_external(*(local(value) for value in module.average.values))
            stack.enter_context(tracker)
            # The tracker's statistics of modules, which are not used, allow a single forward pass.
            hook = module.network.register_forward_pre_hook(lambda *_, it=tracker: it.reset_mod_stats(), prepend=True)
            stack.callback(hook.remove)
        stack.enter_context(traffic)
        trainer.update(0, batches)
    peaks = [each["Total"] for tracker in trackers for each in tracker.get_tracker_snapshot("peak").values()]
    return int(sum(peaks)), traffic.received


class Traffic(TorchDispatchMode):
    """Counts the bytes that this rank receives from others."""

    def __init__(self):
        super().__init__()
        self.received = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, torch.distributed.tensor.DTensor) for kind in types):
            return NotImplemented  # its local operations come here
        result = func(*args, **(kwargs or {}))
        if func.namespace in GROUPS and "wait" not in str(func):
            flat = [value for value in torch.utils._pytree.tree_leaves((args, result)) if isinstance(value, Tensor)]
            most = max((value.nbytes for value in flat), default=0)
            self.received += most * (2 if any(name in str(func) for name in TWICE) else 1)
        return result


def kept(trainer: Trainer) -> list[Tensor]:
    """This rank's part of all weights and averages."""
    weights = [value for module in trainer.modules for value in module.network.parameters()]
    averages = [value for module in trainer.modules if module.average for value in module.average.values]
    return [local(value.detach()) for value in (*weights, *averages)]


def moments_bytes(trainer: Trainer) -> int:
    """The optimizers' state: two moments of AdamW, one of Muon."""
    return sum(
        local(parameter.detach()).nbytes * (2 if "Adam" in type(optimizer).__name__ else 1)
        for module in trainer.modules
        for optimizer in module.optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    )
