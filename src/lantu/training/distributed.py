"""Several processes, each with a part of every weight (FSDP2), applied from outside the networks.

    torchrun --nproc-per-node 8 -m lantu train language …
    torchrun --nproc-per-node 8 --max-restarts 3 -m lantu train language … --resume      goes on after a crash
    torchrun --nproc-per-node 8 -m lantu train language … --set loop.tensor_parallel=2   see ``tensor_parallel``

``loss`` must enter a network through its ``forward``. Samples and exports need a single process: resume the finished
run without torchrun.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lantu.errors import RecipeError
from lantu.training.tensor_parallel import split_layers


@dataclass(frozen=True)
class Ranks:
    """This process and the number of processes.

    Attributes:
        split: neighbouring ranks that compute the same samples, each with its part of the layers.
    """

    rank: int = 0
    world: int = 1
    split: int = 1

    @property
    def data_rank(self) -> int:
        """The group of ranks that this one computes its samples with."""
        return self.rank // self.split

    @property
    def data_world(self) -> int:
        """The number of such groups, each of which takes batches of its own."""
        return self.world // self.split

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

    @contextlib.contextmanager
    def first_opens(self, make: Callable[[], contextlib.AbstractContextManager[Path]]) -> Iterator[Path]:
        """A folder that the first rank opens, for all to write into, and closes when all have written."""
        with contextlib.ExitStack() as stack:
            folder: list[Path | None] = [None]
            if self.first:
                folder[0] = stack.enter_context(make())
                folder[0].mkdir()
            torch.distributed.broadcast_object_list(folder)
            assert folder[0] is not None
            yield folder[0]
            self.wait()
        self.wait()

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            torch.distributed.barrier()


ALONE = Ranks()


def communication_device() -> str:
    """The device of tensors that ranks exchange."""
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"


@contextlib.contextmanager
def joined(device: torch.device, split: int = 1) -> Iterator[Ranks]:
    """Join the other ranks if torchrun started this process; otherwise run alone.

    Raises:
        RecipeError: the processes can't be divided into groups of ``split``.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world % split:
        raise RecipeError(
            f"loop.tensor_parallel={split} does not divide {world} process{'es' if world > 1 else ''}",
            f"start a multiple of {split}: torchrun --nproc-per-node {split} -m lantu train …",
        )
    if world == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    ranks = Ranks(torch.distributed.get_rank(), world, split)
    yield ranks
    # Not after an error: the others may be in the middle of a collective, and torchrun ends them.
    # All leave together, since a rank that exits right after a collective may abort in gloo's threads
    # (pytorch/pytorch pull request 179291), and torchrun would then end the first rank while it writes.
    ranks.wait()
    torch.distributed.destroy_process_group()


def shard(network: nn.Module, device: torch.device, split: int = 1) -> None:
    """Give each rank its part of every weight; blocks (the items of a ``ModuleList``) are gathered one at a time.

    Raises:
        RecipeError: ``split`` is more than 1, and the network's layers can't be split.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # Some outputs are views; nobody writes into them.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    groups = torch.distributed.get_world_size() // split
    if split > 1:
        meshes = init_device_mesh(device.type, (groups, split), mesh_dim_names=("data", "split"))
        split_layers(network, meshes["split"])
        mesh = meshes["data"]
    else:
        mesh = init_device_mesh(device.type, (groups,))
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
