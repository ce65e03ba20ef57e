"""Named arrays out of safetensors, mapped from disk: no torch, and nothing is read before it is used.

A file is the length of its header (8 bytes, little end first), the header as JSON, then the numbers. bfloat16, which
NumPy doesn't know, comes as uint16 (``lantu.kernels.to_float`` reads it). Nothing that a header or an index says is
taken on trust: ``read_header`` and ``shard_paths`` check it against the files.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lantu.errors import ModelError
from lantu.files.untrusted import is_plain_name, open_regular, parse_json, read_json, shown

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
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
MOST_HEADER = 25_000_000  # bytes: 200,000 tensors
MOST_AXES = 8
HINT = "give a complete model directory, or make it again"
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What a header says of one tensor.

    Attributes:
        dtype: a key of ``TYPES``.
        first, last: its bytes, counted from the end of the header.
    """

    dtype: str
    shape: tuple[int, ...]
    first: int
    last: int


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config.json that lies beside the weights.

    Raises:
        ModelError: it is missing or can't be read.
    """
    try:
        return read_json(Path(folder) / "config.json")
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise ModelError(f"no config.json can be read in {folder} ({reason})", "give a complete model directory") from (
            problem
        )


def read(folder: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a folder, in one file or in shards.

    Raises:
        ModelError: there is none, a shard is missing, or a file is damaged.
    """
    return of_folder(folder, read_file)


def entries(folder: str | Path) -> dict[str, Entry]:
    """What the headers of a folder say of each tensor; nothing else is read. Raises ModelError like ``read``."""
    return of_folder(folder, lambda path: read_header(path)[1])


def of_folder(folder: str | Path, read_one: Callable[[Path], dict[str, T]]) -> dict[str, T]:
    """What all files of a folder say, each tensor in the file in which the index has it."""
    folder = Path(folder)
    state: dict[str, T] = {}
    try:
        where = weight_map(folder)
        for path in shard_paths(folder):
            found = read_one(path)
            for name in found:
                if where is not None and where.get(name) != path.name:
                    raise ValueError(f"{shown(name)} lies in {path.name}, not where {INDEX} has it")
            state |= found
        for name, file in (where or {}).items():
            if name not in state:
                raise ValueError(f"{shown(name)} is not in {file}, where {INDEX} has it")
    except (OSError, ValueError) as problem:
        raise ModelError(f"no weights can be read in {folder} ({problem})", HINT) from problem
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


def read_header(path: Path) -> tuple[int, dict[str, Entry]]:
    """Where the numbers begin, and what is there by name: tensors that fill the file, without gaps or overlaps.

    Raises:
        OSError: it can't be read.
        ValueError: it is no safetensors file, or damaged.
    """
    start, content, size = header_bytes(path)
    try:
        header = parse_json(content)
    except ValueError as problem:
        raise ValueError(f"{path.name} is damaged: {problem}") from problem
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is damaged")
    told = header.pop("__metadata__", {})
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise ValueError(f"the metadata of {path.name} is not text by name")
    found = {name: read_entry(name, entry, path) for name, entry in header.items()}
    end = 0
    for name, entry in sorted(found.items(), key=lambda item: (item[1].first, item[1].last)):
        if entry.first != end:
            problem = "overlaps another tensor" if entry.first < end else "lies behind a gap"
            raise ValueError(f"{shown(name)} in {path.name} {problem}: it begins at {entry.first}, not {end}")
        end = entry.last
    if end != size - start:
        raise ValueError(f"{path.name} holds {size - start} bytes of tensors, where its header has {end}")
    return start, found


def header_bytes(path: Path) -> tuple[int, bytes, int]:
    """Where the numbers of a safetensors file begin, its header as it stands, and the size of the file in bytes."""
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MOST_HEADER, size - 8):
            raise ValueError(f"{path.name} is damaged")
        content = file.read(length)
    if not content.startswith(b"{"):
        raise ValueError(f"{path.name} is damaged")
    return 8 + length, content, size


def read_entry(name: str, entry: Any, path: Path) -> Entry:
    """One tensor of a header, its type, shape and place checked against one another."""
    what = f"{shown(name)} in {path.name}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{what} has not a dtype, a shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in TYPES:
        raise ValueError(f"{what} has the dtype {shown(dtype)}, not one of {', '.join(TYPES)}")
    if not is_sizes(shape) or len(shape) > MOST_AXES:
        raise ValueError(f"{what} has the shape {shown(shape)}")
    if not is_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{what} has the data_offsets {shown(offsets)}")
    needed = math.prod(shape) * np.dtype(TYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != needed:
        raise ValueError(f"{what} takes {offsets[1] - offsets[0]} bytes, where {dtype} {shape} needs {shown(needed)}")
    return Entry(dtype, tuple(shape), *offsets)


def is_sizes(value: object) -> bool:
    """Whether a value of JSON is a list of whole numbers from 0 on."""
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def shard_paths(folder: Path) -> list[Path]:
    """The files that make up the weights in ``folder``. Raises OSError or ValueError."""
    where = weight_map(folder)
    return [folder / SINGLE] if where is None else [folder / name for name in sorted(set(where.values()))]


def weight_map(folder: Path) -> dict[str, str] | None:
    """Which tensor is in which file beside the index; None where there is no index. Raises OSError or ValueError."""
    if not (folder / INDEX).exists():
        return None
    where = read_json(folder / INDEX).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise ValueError(f"{INDEX} has no weight_map")
    for name, file in where.items():
        if not is_plain_name(file) or not file.endswith(".safetensors"):
            raise ValueError(f"{INDEX} has {shown(name)} in {shown(file)}, which is no safetensors file beside it")
    return where
