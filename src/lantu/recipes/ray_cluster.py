"""Joins a Ray cluster, for all that runs on one. Ray is only imported here inside a function."""

import importlib.util
import logging
import os
from typing import Any

from lantu.errors import LantuError

NEEDED = {"ray": "Ray", "pandas": "pandas", "pyarrow": "pyarrow", "fastapi": "fastapi"}  # of Ray Data and Ray Serve
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a later default, of which it warns
}


def check_installed() -> None:
    """Refuse where Ray, or what its parts need, is missing. Raises LantuError."""
    if missing := next((name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None), None):
        raise LantuError(f"{missing} is not installed", "pip install 'lantu[ray]'")


def join(
    address: str | None, *, passing: bool = False, start: bool = True, cpus: int | None = None, **how: Any
) -> bool:
    """Connect to a cluster, or start one on this machine that ends with this process; returns whether it did.

    Args:
        address: of its head; None for ``$RAY_ADDRESS``, else the cluster that this machine belongs to.
        passing: a cluster counts, too, that another process of this machine has started for itself.
        start: start one if there is none.
        cpus: cores of one that is started because no other was found passing; None for all.
        how: other arguments of ``ray.init``.

    Raises:
        LantuError: Ray is not installed, there is no cluster at the address, or none can be started.
    """
    check_installed()
    os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})
    import ray

    how = {"log_to_driver": False, "logging_level": logging.ERROR, **how}
    where = address or os.environ.get("RAY_ADDRESS")
    where = None if where == "auto" else where
    if ray.is_initialized():
        return True
    try:
        if where:
            ray.init(address=where, **how)
        elif not passing:
            ray.init(**how)
        elif not _joined_passing(how):
            if not start:
                return False
            ray.init(address="local", num_cpus=cpus, **how)
    except Exception as problem:  # of many kinds, some of them Exception itself
        what = f"there is no Ray cluster at {where}" if where else "Ray can't start a cluster here"
        hint = "start one: ray start --head, or name another" if where else "see its logs in /tmp/ray"
        raise LantuError(f"{what} ({first_line(problem)})", hint) from problem
    return True


def _joined_passing(how: dict[str, Any]) -> bool:
    """Connect to whatever cluster has processes on this machine; returns whether there is one."""
    import ray

    try:
        ray.init(address="auto", **how)
    except Exception:  # of many kinds, some of them Exception itself
        return False
    return True


def first_line(problem: Exception) -> str:
    """What it says, without its details."""
    return next(iter(str(problem).strip().splitlines()), type(problem).__name__)
