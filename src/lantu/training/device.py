"""The device of a training run, whether it computes in bf16, and how batches get there."""

from typing import Any

import torch
from torch import Tensor

from lantu.errors import RecipeError


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one.

    Raises:
        RecipeError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as problem:
        raise RecipeError(f"no device {name!r} here", "choose cpu or auto") from problem
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        can = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch that will do
        return any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return True


def to_device(batch: Any, device: torch.device) -> Any:
    """Move tensors, bare or in tuples, lists and dicts, to the device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [to_device(value, device) for value in batch]
        # A named tuple takes its fields one by one.
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
