"""How much memory lantu may still take: on this machine, in this container, on this GPU. None where nobody says."""

import os
from collections.abc import Iterator
from pathlib import Path

from lantu.errors import LantuError
from lantu.files import control_groups
from lantu.files.control_groups import lines, number

VARIABLE = "LANTU_MEMORY"  # gigabytes that lantu may take, or "any" to try whatever is asked for
GIGA = 1e9
# Of a control group, by its version: its limit, what it takes, and how much of that are cached files.
FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_bytes(device: str) -> int | None:
    """Bytes that lantu may take on a device; None if unknown or if the user says any.

    Raises:
        LantuError: $LANTU_MEMORY is neither a number of gigabytes nor "any".
    """
    if given := os.environ.get(VARIABLE):
        return given_bytes(given)
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    known = [number for number in (machine_bytes(), *container_bytes()) if number is not None]
    return min(known, default=None)


def given_bytes(text: str) -> int | None:
    """What the user allows. Raises LantuError."""
    if text == "any":
        return None
    try:
        number = float(text)
        if not 0 <= number < 1e9:  # NaN is neither
            raise ValueError(text)
    except ValueError as problem:
        raise LantuError(f"{VARIABLE} is {text!r}", "give gigabytes, e.g. 12, or any") from problem
    return int(number * GIGA)


def machine_bytes() -> int | None:
    """What the kernel says can be had without swapping."""
    for line in lines(control_groups.ROOT / "proc/meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def container_bytes() -> Iterator[int]:
    """What is left below the limit of each control group that this process is in, of version 2 or 1."""
    for folder, version in control_groups.groups("memory"):
        yield from left(folder, *FILES[version])


def left(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    """What is left in one group, if it has a limit. Cached files count as free: the kernel drops them first."""
    most, now = number(folder / limit), number(folder / used)
    if most is None or now is None or most >= 1 << 60:  # version 1 writes a huge number for no limit
        return
    pairs = (line.split() for line in lines(folder / "memory.stat"))
    dropped = next((int(pair[1]) for pair in pairs if pair[:1] == [cached]), 0)
    yield max(0, most - now + dropped)
