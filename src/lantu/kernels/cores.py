"""How many cores this process may use: fewer than the machine has under taskset, and in a container with a quota."""

import math
import os

from lantu.files.control_groups import cpu_quota


def usable_cores() -> int:
    """Cores that this process may use at once: those that it may run on, or as many as its quota pays for if fewer."""
    return within_quota() or allowed_cores()


def allowed_cores() -> int:
    """Cores that this process may run on, whatever its quota."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def within_quota() -> int:
    """The cores that a container's quota pays for, rounded up; 0 if they are no fewer than those allowed.

    More threads would use the quota up by waiting for one another, and then all stand still till its next period.
    """
    quota = cpu_quota()
    return 0 if quota is None or math.ceil(quota) >= allowed_cores() else max(1, math.ceil(quota))
