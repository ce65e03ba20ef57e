"""Named arrays from safetensors files, memory-mapped, without torch.

A file is the length of its header (8 bytes, little-endian), the header as JSON, then the data. NumPy has no bfloat16:
such arrays are uint16 (``lantu.kernels.to_float`` converts them). Headers and indexes are not trusted: ``read_header``
and ``shard_paths`` check them against the files.
"""

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lantu.errors import ModelError
from lantu.files.untrusted import is_plain_name, open_regular, parse_json, read_json, shown

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
OF_DIFFUSERS = "diffusion_pytorch_"  # before these two names
TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
MAX_HEADER = 25_000_000  # bytes: 200,000 tensors
MAX_AXES = 8
HINT = "give a complete model directory, or make it again"
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A tensor's entry in a header.

    Attributes:
        dtype: a key of ``TYPES``.
        first, last: its byte range after the header.
    """

    dtype: str
    shape: tuple[int, ...]
    first: int
    last: int


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config.json of a folder of weights.

    Raises:
        ModelError: it is missing or unreadable.
    """
    try:
        return read_json(Path(folder) / "config.json")
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise ModelError(f"can't read config.json in {folder} ({reason})", "give a complete model directory") from (
            problem
        )


def read(folder: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a folder, in one file or in shards.

    Raises:
        ModelError: there is none, a shard is missing, or a file is damaged.
    """
    return of_folder(folder, read_file)


def entries(folder: str | Path) -> dict[str, Entry]:
    """The header entries of all tensors of a folder; no data is read. Raises ModelError like ``read``."""
    return of_folder(folder, lambda path: read_header(path)[1])


def of_folder(folder: str | Path, read_one: Callable[[Path], dict[str, T]]) -> dict[str, T]:
    """The tensors of all files of a folder, each in the file that the index names."""
    folder = Path(folder)
    state: dict[str, T] = {}
    try:
        where = weight_map(folder)
        for path in shard_paths(folder):
            found = read_one(path)
            for name in found:
                if where is not None and where.get(name) != path.name:
                    raise ValueError(f"{shown(name)} is in {path.name}, but the index names another file")
            state |= found
        for name, file in (where or {}).items():
            if name not in state:
                raise ValueError(f"{shown(name)} is missing from {file}, which the index names")
    except (OSError, ValueError) as problem:
        raise ModelError(f"can't read the weights in {folder} ({problem})", HINT) from problem
    return state


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of one file. Raises OSError or ValueError where it is damaged."""
    start, header = read_header(path)
    numbers = np.memmap(path, np.uint8, "r", start) if path.stat().st_size > start else np.empty(0, np.uint8)
    state = {}
    for name, entry in header.items():
        array = numbers[entry.first : entry.last].view(TYPES[entry.dtype]).reshape(entry.shape)
        state[name] = array if array.flags.aligned else array.copy()
    return state


def release(*mapped: np.ndarray | None) -> None:
    """Give the pages of mapped arrays' files back to the system, which reads them again when they are needed.

    What a caller has packed into memory of its own need not be resident twice.
    """
    files: dict[int, mmap.mmap] = {}
    for array in mapped:
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            files[id(base)] = base
    for file in files.values():
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            file.madvise(mmap.MADV_DONTNEED)


def read_header(path: Path) -> tuple[int, dict[str, Entry]]:
    """The offset of the data, and the header's entries by name, which must fill the file without gaps or overlaps.

    Raises:
        OSError: the file can't be read.
        ValueError: it is not a safetensors file, or damaged.
    """
    start, content, size = header_bytes(path)
    try:
        header = parse_json(content)
    except ValueError as problem:
        raise ValueError(f"{path.name} is damaged: {problem}") from problem
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is damaged")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"the metadata of {path.name} is not a map of texts")
    found = {name: read_entry(name, entry, path) for name, entry in header.items()}
    end = 0
    for name, entry in sorted(found.items(), key=lambda item: (item[1].first, item[1].last)):
        if entry.first != end:
            problem = "overlaps another tensor" if entry.first < end else "comes after a gap"
            raise ValueError(f"{shown(name)} in {path.name} {problem}: it begins at {entry.first}, not {end}")
        end = entry.last
    if end != size - start:
        raise ValueError(f"{path.name} has {size - start} bytes of data, but its header describes {end}")
    return start, found


def header_bytes(path: Path) -> tuple[int, bytes, int]:
    """The offset of a safetensors file's data, its raw header, and its size in bytes."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError(f"{path.name} is damaged")
        content = file.read(length)
    if not content.startswith(b"{"):
        raise ValueError(f"{path.name} is damaged")
    return 8 + length, content, size


def read_entry(name: str, entry: Any, path: Path) -> Entry:
    """A header's entry of one tensor, once its dtype, shape and byte range agree."""
    what = f"{shown(name)} in {path.name}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{what} lacks one of dtype, shape and data_offsets, or has more")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise ValueError(f"{what} has the dtype {shown(dtype)}, not one of {', '.join(TYPES)}")
    if not is_sizes(shape) or len(shape) > MAX_AXES:
        raise ValueError(f"{what} has the shape {shown(shape)}")
    if not is_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{what} has the data_offsets {shown(offsets)}")
    needed = math.prod(shape) * np.dtype(TYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != needed:
        raise ValueError(f"{what} has {offsets[1] - offsets[0]} bytes, but {dtype} {shape} needs {shown(needed)}")
    return Entry(dtype, tuple(shape), *offsets)


def is_sizes(value: object) -> bool:
    """Whether a JSON value is a list of non-negative integers."""
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def shard_paths(folder: Path) -> list[Path]:
    """The safetensors files of a folder. Raises OSError or ValueError."""
    where = weight_map(folder)
    names = [f"{prefix(folder)}{SINGLE}"] if where is None else sorted(set(where.values()))
    return [folder / name for name in names]


def weight_map(folder: Path) -> dict[str, str] | None:
    """The index of a folder, tensor → file; None if it has no index. Raises OSError or ValueError."""
    index = folder / f"{prefix(folder)}{INDEX}"
    if not index.exists():
        return None
    where = read_json(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise ValueError(f"{index.name} has no weight_map")
    for name, file in where.items():
        if not is_plain_name(file) or not file.endswith(".safetensors"):
            what = f"{index.name} names {shown(file)} for {shown(name)}, which is not a safetensors file beside it"
            raise ValueError(what)
    return where


def prefix(folder: Path) -> str:
    """What precedes the names of a folder's weights: nothing, or diffusers' own prefix where only its files are."""
    plain = any((folder / name).exists() for name in (SINGLE, INDEX))
    theirs = any((folder / f"{OF_DIFFUSERS}{name}").exists() for name in (SINGLE, INDEX))
    return OF_DIFFUSERS if theirs and not plain else ""
