"""What a run takes on many devices, told on one: one rank of them updates, on a process group that only pretends.

torch's FSDP2 and tensor parallelism run as they would; the "fake" backend leaves out what the ranks exchange, so
numbers are wrong, and sizes are right. So memory is measured, with all that the allocator keeps, and not only counted.
So is the time of what a rank computes, FSDP's own work included; only the exchange's is an estimate.
"""

import itertools
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from lantu.training.optimized_module import OptimizedModule
from lantu.training.progress import duration
from lantu.training.resident import forget_most, most_resident_bytes, resident_bytes, settle
from lantu.training.task import Task
from lantu.training.trainer import Trainer

GIGABYTES_PER_S = 50.0  # of each device: 400 Gbit/s, as between machines of eight GPUs
GROUPS = ("c10d", "_c10d_functional")  # namespaces of operations that exchange something
UPDATES = 5  # that memory is measured over: the allocator's holes grow for some
TWICE = ("all_reduce", "allreduce_")  # a reduction and a gathering in one
PARTED = ("gather", "reduce_scatter")  # between a whole tensor and a part of it for each rank


@dataclass(frozen=True)
class Simulated:
    """A run on many devices.

    Attributes:
        devices, tensor_parallel: in all; that split each layer.
        state_bytes: of a device for its part of weights, averages and the optimizer's moments.
        memory_bytes: the most that training takes of a device, from the moment at which the networks are there.
        tensor_bytes: how much of it is tensors: weights, gradients, gathered blocks, activations, moments; the rest is
            what the allocator keeps. ``memory_bytes`` is no more than this where the system doesn't say.
        base_bytes: on a CPU, what each process takes besides: Python, libraries and data.
        exchanged_bytes: that a device receives in an update.
        samples_per_step: over all devices.
        step_s: seconds of an update at least and at most: with the exchange hidden behind the arithmetic, and after it.
        total_s: of the run, likewise.
    """

    devices: int
    tensor_parallel: int
    state_bytes: int
    memory_bytes: int
    tensor_bytes: int
    base_bytes: int
    exchanged_bytes: int
    samples_per_step: int
    step_s: tuple[float, float]
    total_s: tuple[float, float]

    def text(self) -> str:
        """A few lines for a person."""
        split = f", layers split among {self.tensor_parallel}" if self.tensor_parallel > 1 else ""
        low, high = map(duration, self.total_s)
        memory, tensors, stays = (each / 1e9 for each in (self.memory_bytes, self.tensor_bytes, self.state_bytes))
        base = f"; {self.base_bytes / 1e9:.2f} GB more for Python, libraries and data" if self.base_bytes else ""
        return "\n".join(
            [
                f"on {self.devices} devices like this one{split}, simulated:",
                f"memory       {memory:.2f} GB a device, {tensors:.3g} GB of it tensors, {stays:.3g} GB to stay{base}",
                f"exchange     {self.exchanged_bytes / 1e9:.3g} GB an update and device",
                f"speed        {self.samples_per_step} samples in {self.step_s[0]:.3g} to {self.step_s[1]:.3g} s",
                f"time         {low} to {high}, with {self.samples_per_step} samples a step",
            ]
        )


def simulate(task: Task, config: LoopConfig, devices: int, gigabytes_per_s: float = GIGABYTES_PER_S) -> Simulated:
    """Some updates as one of many devices makes them; the task's networks can't be used afterwards.

    Args:
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
    config = config.model_copy(update={"compile": False})
    torch.distributed.init_process_group("fake", rank=0, world_size=devices)
    try:
        ranks = Ranks(0, devices, config.tensor_parallel)
        batches = [task.batch(step, config.batch_size) for step in range(config.accumulate)]
        memory = Memory(task, choose_device(config.device))
        trainer = Trainer(task, config, memory.device, ranks)
        without_gradients(trainer)
        times = []
        with Exchange():
            for step in range(UPDATES):
                started = time.monotonic()
                trainer.update(step, batches)
                times.append(time.monotonic() - started)
        grown = memory.most()
        peak, exchanged = counted(trainer, batches)
    finally:
        torch.distributed.destroy_process_group()
    # What each rank computes: its own samples, or with split layers its part of a group's. The first update warms up.
    computed = statistics.median(times[1:])
    exchange = exchanged / (1e9 * gigabytes_per_s)
    step_s = max(computed, exchange), computed + exchange
    return Simulated(
        devices=devices,
        tensor_parallel=config.tensor_parallel,
        state_bytes=sum(value.nbytes for module in trainer.modules for value in kept(module)),
        memory_bytes=grown or peak,
        tensor_bytes=peak,
        base_bytes=memory.base_bytes,
        exchanged_bytes=exchanged,
        samples_per_step=config.batch_size * config.accumulate * ranks.data_world,
        step_s=step_s,
        total_s=(step_s[0] * config.steps, step_s[1] * config.steps),
    )


class Memory:
    """What a training takes of a device, beside what was there before; its networks count.

    Attributes:
        base_bytes: what was there before: on a CPU; 0 where nobody says.
    """

    def __init__(self, task: Task, device: torch.device):
        self.device, self.base_bytes = device, 0
        settle()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            return
        now = resident_bytes() if forget_most() else None
        if now:
            networks = [value for network in task.networks.values() for value in network.state_dict().values()]
            self.base_bytes = now - sum({value.data_ptr(): value.nbytes for value in networks}.values())

    def most(self) -> int:
        """Bytes at most so far; 0 where nobody says."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self.device))
        most = most_resident_bytes() if self.base_bytes else None
        return most - self.base_bytes if most else 0


def without_gradients(trainer: Trainer) -> None:
    """Let all gradients be zero, since nobody sends the others' weights: of anything else an update is not made."""
    for module in trainer.modules:
        for value in module.named.values():
            value.register_post_accumulate_grad_hook(lambda weight: weight.grad.zero_())  # type: ignore[union-attr]


def counted(trainer: Trainer, batches: Sequence[Any]) -> tuple[int, int]:
    """Make one update; returns the most bytes of tensors at one time, and the bytes received."""
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker

    exchange = Exchange()
    with ExitStack() as stack:
        trackers = [FSDPMemTracker(module.network) for module in trainer.modules]
        for module, tracker in zip(trainer.modules, trackers, strict=True):
            tracker.track_external(*averages(module), *moments(module))
            stack.enter_context(tracker)
            # The tracker's statistics of modules, which are not used, allow a single forward pass.
            hook = module.network.register_forward_pre_hook(lambda *_, it=tracker: it.reset_mod_stats(), prepend=True)
            stack.callback(hook.remove)
        stack.enter_context(exchange)
        trainer.update(0, batches)
    # Each tracker sees all that is computed, but of what stays only its module's.
    stays = [sum(value.nbytes for value in kept(module)) for module in trainer.modules]
    peaks = [
        sum(each["Total"] for each in tracker.get_tracker_snapshot("peak").values()) + sum(stays) - own
        for tracker, own in zip(trackers, stays, strict=True)
    ]
    return int(max(peaks)), exchange.received


class Exchange(TorchDispatchMode):
    """Counts the bytes that this rank receives from others, and takes the memory that exchanging takes.

    On CPUs gloo exchanges: it copies what it reduces, and its two threads gather and sum up in memory of their own
    (``ProcessGroupGloo.cpp`` of torch), which the allocator keeps for each.
    """

    def __init__(self):
        super().__init__()
        self.received = 0
        self.threads = itertools.cycle([ThreadPoolExecutor(1), ThreadPoolExecutor(1)])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, torch.distributed.tensor.DTensor) for kind in types):
            return NotImplemented  # its local operations come here
        result = func(*args, **(kwargs or {}))
        if func.namespace in GROUPS and "wait" not in str(func):
            flat = [value for value in torch.utils._pytree.tree_leaves((args, result)) if isinstance(value, Tensor)]
            most = max(flat, key=lambda value: value.nbytes, default=torch.empty(0))
            self.received += most.nbytes * (2 if any(name in str(func) for name in TWICE) else 1)
            if any(name in str(func) for name in PARTED):
                self.received -= min(value.nbytes for value in flat)  # this rank's own part
            if most.device.type == "cpu":
                copied = most.clone() if "reduce" in str(func) else most
                next(self.threads).submit(torch.clone, copied).result()
        return result


def kept(module: OptimizedModule) -> list[Tensor]:
    """This rank's part of all that stays: weights, averages and the optimizers' moments."""
    weights = [local(value.detach()) for value in module.network.parameters()]
    return [*weights, *averages(module), *moments(module)]


def averages(module: OptimizedModule) -> list[Tensor]:
    """This rank's part of the EMA."""
    return [local(value) for value in module.average.values] if module.average else []


def moments(module: OptimizedModule) -> list[Tensor]:
    """This rank's part of the optimizers' moments."""
    states = [state for optimizer in module.optimizers for state in optimizer.state.values()]
    return [local(value) for state in states for value in state.values() if isinstance(value, Tensor)]
