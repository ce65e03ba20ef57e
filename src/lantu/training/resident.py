"""How much of this process is in memory, as Linux says; None elsewhere."""

import contextlib
import ctypes
import gc
from pathlib import Path

PROCESS = Path("/proc/self")
RESET_MOST = "5"  # for clear_refs, see proc(5)


def settle() -> None:
    """Give back to the system what nothing uses any more: objects, and the pages that glibc keeps for later."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int | None:
    """Now."""
    return _status("VmRSS")


def most_resident_bytes() -> int | None:
    """The most since ``forget_most``, else since the process began."""
    return _status("VmHWM")


def forget_most() -> bool:
    """Count ``most_resident_bytes`` from now on; returns whether the system lets it."""
    try:
        (PROCESS / "clear_refs").write_text(RESET_MOST)
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
