"""Named arrays out of safetensors, mapped from disk: no torch, and nothing is read before it is used.

A file is the length of its header (8 bytes, little end first), the header as JSON, then the numbers. bfloat16, which
NumPy doesn't know, comes as uint16 (``lantu.kernels.to_float`` reads it).
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from lantu.errors import ModelError

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
MOST_HEADER = 100_000_000
MEND = "give a complete model directory, or make it again"


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config.json that lies beside the weights.

    Raises:
        ModelError: it is missing or can't be read.
    """
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ModelError(f"no config.json can be read in {folder}", "give a complete model directory") from problem
    if not isinstance(config, dict):
        raise ModelError(f"the config.json in {folder} is no JSON object", "give a complete model directory")
    return config


def read(folder: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a folder, in one file or in shards.

    Raises:
        ModelError: there is none, a shard is missing, or a file is damaged.
    """
    folder = Path(folder)
    state: dict[str, np.ndarray] = {}
    try:
        for path in shard_paths(folder):
            state |= read_file(path)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(f"no weights can be read in {folder} ({problem})", MEND) from problem
    return state


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of one file. Raises OSError, ValueError, KeyError or TypeError where it is damaged."""
    start, header = read_header(path)
    numbers = np.memmap(path, np.uint8, "r", start) if path.stat().st_size > start else np.empty(0, np.uint8)
    state = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        kind = np.dtype(TYPES[entry["dtype"]])
        if not 0 <= first <= last <= len(numbers) or last - first != math.prod(entry["shape"]) * kind.itemsize:
            raise ValueError(f"{name} does not lie in {path.name}")
        state[name] = numbers[first:last].view(kind).reshape(entry["shape"])
    return state


def read_header(path: Path) -> tuple[int, dict[str, dict]]:
    """Where the numbers begin, and name → dtype, shape and offsets. Raises OSError or ValueError."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MOST_HEADER:
            raise ValueError(f"{path.name} is damaged")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} is damaged")
    header.pop("__metadata__", None)
    return 8 + length, header


def shard_paths(folder: Path) -> list[Path]:
    """The files that make up the weights in ``folder``. Raises OSError, ValueError or KeyError."""
    index = folder / INDEX
    if index.exists():
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return [folder / name for name in sorted(set(where.values()))]
    return [folder / SINGLE]
