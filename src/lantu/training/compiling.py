"""Whether a run's networks are compiled (``loop.compile``): torch.compile makes one loop of many small operations.

Compiling takes minutes and a C++ compiler. Where a processor multiplies matrices in tiles (AMX), an update spends most
of its time on everything else, and compiled ones of language models take 0.8 of it; those of decoders gain nothing, nor
does anything where there is AVX-512 alone (docs/log.md, ``benchmarks/compiled_training.py``).
"""

from functools import cache
from typing import TYPE_CHECKING

import torch

from lantu.training.config import LoopConfig

if TYPE_CHECKING:
    from lantu.training.task import Task

WORTH = 2e14  # operations of a run: half an hour at 100 GFLOP/s, of which compiling saves six minutes and costs one


def is_compiled(config: LoopConfig, task: "Task", device: torch.device, world: int) -> bool:
    """Whether to compile: as the run's settings say, or if it pays.

    Args:
        world: processes of the run.
    """
    if config.compile != "auto":
        return config.compile
    operations = config.steps * config.accumulate * config.batch_size * task.flops_per_sample
    wanted = task.gains_by_compiling and operations >= WORTH and config.precision != "fp32"
    return wanted and device.type == "cpu" and world == 1 and has_tiles() and can_compile()


def has_tiles() -> bool:
    """Whether the processor multiplies matrices of bfloat16 in tiles."""
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"))


@cache
def can_compile() -> bool:
    """Whether torch finds what it needs to compile; takes some seconds."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(2))
    except (RuntimeError, OSError, ImportError):
        return False
    return True
