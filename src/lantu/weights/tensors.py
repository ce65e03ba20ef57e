"""Named tensors in a folder, in the layout of the Hugging Face hub: safetensors, in shards when they are large.

model.safetensors                                       if everything fits into one file; otherwise
model-00001-of-00003.safetensors, … and
model.safetensors.index.json                            which tensor is in which file
"""

from pathlib import Path

import torch
from torch import Tensor

from lantu import files
from lantu.errors import DiskError, ModelError
from lantu.files.untrusted import check_regular
from lantu.weights.arrays import HINT, INDEX, SINGLE, entries, read_header, shard_paths


def save(
    state: dict[str, Tensor],
    folder: str | Path,
    dtype: torch.dtype | None = torch.bfloat16,
    max_shard_bytes: int = 14_000_000,
) -> None:
    """Write tensors into ``folder``; other files in it stay.

    Each file is replaced atomically. If the process is killed while it replaces several files, ``load`` refuses the
    folder rather than mix old and new.

    Args:
        state: tensors by name, on any device. Tensors that share memory are written separately.
        dtype: of floating-point tensors in the file; None keeps their own. Integers and booleans stay.
        max_shard_bytes: size of a file, unless a single tensor is larger.

    Raises:
        DiskError: it can't be written.
    """
    folder = Path(folder)
    shards = split({name: plain(tensor, dtype) for name, tensor in state.items()}, max_shard_bytes)
    total = len(shards)
    names = [SINGLE] if total == 1 else [f"model-{n:05d}-of-{total:05d}.safetensors" for n in range(1, total + 1)]
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
        if total > 1:
            (folder / SINGLE).unlink(missing_ok=True)
    for name, shard in zip(names, shards, strict=True):
        write(shard, folder / name)
    old = {folder / SINGLE, *folder.glob("model-?????-of-?????.safetensors")}
    for stale in old - {folder / name for name in names}:
        stale.unlink(missing_ok=True)
    if total > 1:
        where = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        size = sum(tensor.nbytes for shard in shards for tensor in shard.values())
        files.write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": where})


def load(folder: str | Path, prefixes: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """Read what ``save`` wrote, or any transformers or diffusers directory of safetensors in that layout.

    Args:
        prefixes: only tensors whose names begin with one of them are read.

    Returns:
        tensors by name, on the CPU, in the dtype of the file.

    Raises:
        ModelError: there is none, a shard is missing, or a file is damaged.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    def wanted(name: str) -> bool:
        return name.startswith(prefixes)

    folder = Path(folder)
    entries(folder)  # check headers and index first
    try:
        state: dict[str, Tensor] = {}
        for path in shard_paths(folder):
            if all(map(wanted, read_header(path)[1])):
                state |= load_file(path)
                continue
            with safe_open(path, "pt") as file:
                state |= {name: file.get_tensor(name) for name in filter(wanted, file.keys())}
    except (OSError, ValueError, KeyError, SafetensorError) as problem:
        raise ModelError(f"can't read the weights in {folder} ({problem})", HINT) from problem
    return state


def digest(folder: str | Path) -> str:
    """The SHA-256 of all safetensors and JSON files below ``folder``, as hex: identifies weights and settings.

    Raises:
        ModelError: there are no weights.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    if not any(path.suffix == ".safetensors" for path in paths):
        raise ModelError(f"no weights in {folder}", "give a model directory")
    check_regular(paths)
    return files.sha256(*paths)


def write(state: dict[str, Tensor], path: Path) -> None:
    """Write one file whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with files.replacing(path) as temporary:
        try:
            save_file(state, temporary, metadata={"format": "pt"})
        except SafetensorError as problem:
            raise DiskError(f"can't write {path} ({problem})", "free some space, or write elsewhere") from problem
        # The library creates files that only their owner may read; take the folder's permissions.
        temporary.chmod(path.parent.stat().st_mode & 0o666)


def plain(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A tensor contiguous, on the CPU, in memory of its own."""
    tensor = tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None)
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if tensor.is_contiguous() and whole else tensor.clone(memory_format=torch.contiguous_format)


def split(state: dict[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    """Distribute tensors over shards in order; at least one shard, which may be empty."""
    shards: list[dict[str, Tensor]] = [{}]
    room, seen = max_bytes, set()
    for name, tensor in state.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append({})
            room = max_bytes
        if tensor.data_ptr() in seen:
            tensor = tensor.clone()
        seen.add(tensor.data_ptr())
        shards[-1][name] = tensor
        room -= tensor.nbytes
    return shards
