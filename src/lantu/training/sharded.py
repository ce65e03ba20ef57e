"""Tensors of several ranks in a folder: each rank writes its own part, and any number of ranks reads them back.

torch's distributed checkpoints in the layout of safetensors (``HuggingFaceStorageWriter``): files
shard-00001-model-… of the first rank and so on, each with the offsets of its parts. No rank ever holds a whole model.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from lantu.training.distributed import local

PATTERN = "shard-*.safetensors"


def is_sharded(folder: Path) -> bool:
    """Whether several ranks wrote this folder."""
    return any(folder.glob(PATTERN))


def save(state: Mapping[str, Tensor], folder: Path) -> None:
    """Write this rank's parts of the tensors; all ranks call this. A folder without tensors stays away."""
    from torch.distributed.checkpoint import HuggingFaceStorageWriter, save

    if state:
        folder.mkdir(exist_ok=True)
        save(once(state), storage_writer=HuggingFaceStorageWriter(path=str(folder), save_distributed=True))


def load(targets: Mapping[str, Tensor], folder: Path) -> None:
    """Fill tensors, sharded in whatever way or whole, in place; on several ranks, all call this.

    Raises:
        KeyError: one is missing.
        ValueError: one has another shape, or a file is damaged.
    """
    from torch.distributed.checkpoint import CheckpointException, HuggingFaceStorageReader, load

    there, state = shapes(folder), once(targets)
    for name, target in state.items():
        if there[name][0] != target.shape:
            raise ValueError(f"{name} is {tuple(there[name][0])}, not {tuple(target.shape)}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            load(state, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=not dist.is_initialized())
    except CheckpointException as problem:
        raise ValueError(str(problem).splitlines()[-1]) from problem


def once(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the second name of a tensor that has two, as tied embeddings do."""
    found: dict[tuple[int, torch.Size], Tensor] = {}
    unique = {}
    for name, value in state.items():
        value = value.detach()
        key = (local(value).data_ptr(), value.shape)
        if not local(value).numel() or found.setdefault(key, value) is value:
            unique[name] = value
    return unique


def load_whole(folder: Path) -> dict[str, Tensor]:
    """All tensors as a single process holds them.

    Raises:
        ValueError: a file is damaged.
    """
    state = {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in shapes(folder).items()}
    load(state, folder)
    return state


def shapes(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Name → shape of the whole tensor, and its dtype.

    Raises:
        ValueError: a file is damaged.
    """
    from safetensors import SafetensorError
    from torch.distributed.checkpoint import HuggingFaceStorageReader

    try:
        metadata = HuggingFaceStorageReader(str(folder)).read_metadata()
    except (SafetensorError, OSError, KeyError) as problem:
        raise ValueError(f"{folder} can't be read ({problem})") from problem
    return {name: (each.size, each.properties.dtype) for name, each in metadata.state_dict_metadata.items()}  # type: ignore[union-attr]
