"""Several processes, each with a part of every weight (FSDP2), applied from outside the networks.

    torchrun --nproc-per-node 8 -m lantu train language …

``loss`` must enter a network through its ``forward``. Samples and exports need a single process: resume the finished
run without torchrun.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """This process and the number of processes."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def any(self, mine: bool) -> bool:
        """Whether ``mine`` is true on any rank, so that all ranks decide alike."""
        if self.world == 1:
            return mine
        shared = torch.tensor(float(mine), device=communication_device())
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        return bool(shared)

    def mean(self, values: list[float | None]) -> list[float | None]:
        """The ranks' mean of each value; None where any rank has none."""
        if self.world == 1:
            return values
        numbers = [float("nan") if value is None else value for value in values]
        shared = torch.tensor(numbers, dtype=torch.float32, device=communication_device())
        torch.distributed.all_reduce(shared)
        return [None if value != value else value for value in (shared / self.world).tolist()]

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            torch.distributed.barrier()


def communication_device() -> str:
    """The device of tensors that ranks exchange."""
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the other ranks if torchrun started this process; otherwise run alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    ranks = Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    yield ranks
    # Not after an error: the others may be in the middle of a collective, and torchrun ends them.
    # All leave together, since a rank that exits right after a collective may abort in gloo's threads
    # (pytorch/pytorch pull request 179291), and torchrun would then end the first rank while it writes.
    ranks.wait()
    torch.distributed.destroy_process_group()


def shard(network: nn.Module, device: torch.device) -> None:
    """Give each rank its part of every weight; blocks (the items of a ``ModuleList``) are gathered one at a time."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for module in network.modules():
        if isinstance(module, nn.ModuleList):
            for block in module:
                fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def full(tensor: Tensor) -> Tensor:
    """The whole of a sharded tensor (every rank must ask for it); any other tensor as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[operator]


def local(tensor: Tensor) -> Tensor:
    """This rank's part, in the same memory as the sharded tensor; any other tensor as it is."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor  # type: ignore[operator]


def like(whole: Tensor, pattern: Tensor) -> Tensor:
    """Convert a whole tensor to the device, dtype and sharding of ``pattern``."""
    whole = whole.to(pattern.device, pattern.dtype)
    if not hasattr(pattern, "device_mesh"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole, pattern.device_mesh, pattern.placements)  # type: ignore[attr-defined]
