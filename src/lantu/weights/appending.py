"""Copies a safetensors file with rows appended to some of its tensors, a block at a time.

A model of any size is copied in little memory, and what is not appended is the same bit for bit.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lantu import files
from lantu.files.untrusted import open_regular
from lantu.weights import arrays

BLOCK = 1 << 22  # bytes that are copied at once


def copy_with_rows(folder: Path, out: Path, rows: Mapping[str, np.ndarray]) -> None:
    """Copy all weights of a folder into another, under the usual names.

    Args:
        rows: name of a tensor → rows that follow its own, in the dtype of the file.

    Raises:
        DiskError: they can't be written.
        OSError, ValueError: a file can't be read.
    """
    paths = arrays.shard_paths(folder)
    total = len(paths)
    names = (
        [arrays.SINGLE] if total == 1 else [f"model-{n:05d}-of-{total:05d}.safetensors" for n in range(1, total + 1)]
    )
    where, size = {}, 0
    for path, name in zip(paths, names, strict=True):
        with files.replacing(out / name) as temporary:
            header = copy_file(path, temporary, rows)
        where |= dict.fromkeys(header, name)
        size += sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values())
    if total > 1:
        files.write_json(out / arrays.INDEX, {"metadata": {"total_size": size}, "weight_map": where})


def copy_file(path: Path, out: Path, rows: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Copy one file; returns the new header's entries by name."""
    start, entries = arrays.read_header(path)
    in_order = sorted(entries.items(), key=lambda item: (item[1].first, item[1].last))
    header: dict[str, dict[str, Any]] = {}
    end = 0
    for name, entry in in_order:
        more = rows.get(name)
        shape = list(entry.shape) if more is None else [entry.shape[0] + len(more), *entry.shape[1:]]
        first, end = end, end + entry.last - entry.first + (0 if more is None else more.nbytes)
        header[name] = {"dtype": entry.dtype, "shape": shape, "data_offsets": [first, end]}
    content = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)  # the data begins at a multiple of 8
    with open_regular(path) as source, open(out, "wb") as target:
        target.write(len(content).to_bytes(8, "little") + content)
        for name, entry in in_order:
            source.seek(start + entry.first)
            copy_bytes(source, target, entry.last - entry.first)
            if name in rows:
                target.write(np.ascontiguousarray(rows[name]).tobytes())
    return header


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    """Copy so many bytes from where two files stand. Raises ValueError if there are fewer."""
    while count:
        block = source.read(min(BLOCK, count))
        if not block:
            raise ValueError("it was cut off while it was read")
        target.write(block)
        count -= len(block)
