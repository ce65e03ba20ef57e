"""The control groups (cgroups) that this process is in, by which containers limit memory and processors."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")  # of /proc and /sys; tests have their own


def groups(controller: str) -> Iterator[tuple[Path, int]]:
    """The folder of each group that limits this process, from its own to the top, and its version, 2 or 1.

    Args:
        controller: what is limited, "memory" or "cpu".
    """
    for line in filter(None, lines(ROOT / "proc/self/cgroup")):
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if controllers == "":
            top, version = ROOT / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            top, version = ROOT / "sys/fs/cgroup" / controller, 1
        else:
            continue
        group = top / place.lstrip("/")
        if not group.is_dir():  # a container sees its own group as the top
            group = top
        for folder in [group, *group.parents]:
            yield folder, version
            if folder == top:
                break


def cpu_quota() -> float | None:
    """How many processors' time this process may take; None without a limit."""
    quotas = [quota for folder, version in groups("cpu") if (quota := quota_of(folder, version)) is not None]
    return min(quotas, default=None)


def quota_of(folder: Path, version: int) -> float | None:
    """The quota of one group, in processors; None if it has none ("max", or -1)."""
    if version == 2:
        time, _, period = "".join(lines(folder / "cpu.max")).partition(" ")
    else:
        time, period = ("".join(lines(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    time, period = time.strip(), period.strip()
    if not (time.isdecimal() and period.isdecimal()) or int(time) == 0 or int(period) == 0:
        return None
    return int(time) / int(period)


def number(path: Path) -> int | None:
    """The number in a file; None where there is none."""
    text = "".join(lines(path)).strip()
    return int(text) if text.isdecimal() else None


def lines(path: Path) -> list[str]:
    """The lines of a file; none where it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
