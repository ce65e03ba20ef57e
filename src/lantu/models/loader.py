"""Chooses the device and the backend of the language model."""

import importlib.util
from pathlib import Path

from lantu.errors import TRAINING, LantuError

BACKENDS = ("native", "transformers", "vllm")


def choose_backend(name: str) -> str:
    """One of ``BACKENDS``.

    Raises:
        LantuError: there is none of that name, or it is not installed.
    """
    if name not in BACKENDS:
        raise LantuError(f"no backend called {name}", f"choose {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}")
    if name != "native" and importlib.util.find_spec(name) is None:
        where = TRAINING if name == "transformers" else "pip install vllm, in a venv of its own"
        raise LantuError(f"{name} is not installed", f"{where}, or choose native")
    return name


def choose_device(name: str) -> str:
    """ "cpu" or "cuda".

    Raises:
        LantuError: there is no such device here.
    """
    if name == "cpu" or (name == "auto" and importlib.util.find_spec("torch") is None):
        return "cpu"
    if name not in ("auto", "cuda"):
        raise LantuError(f"no device called {name}", "choose auto, cpu or cuda")
    if importlib.util.find_spec("torch") is None:
        raise LantuError("a GPU needs torch, which is not installed", f"{TRAINING}, or choose cpu")
    if name == "auto" and not may_have_gpu():
        return "cpu"  # importing torch takes seconds
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise LantuError("no GPU that torch can use", "choose cpu, or leave it to auto")
    return "cpu"


def may_have_gpu() -> bool:
    """Whether the system has a GPU device that torch might use."""
    return any(map(Path.exists, map(Path, ("/dev/nvidia0", "/dev/dxg", "/dev/kfd"))))
