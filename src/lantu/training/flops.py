"""Floating-point operations of training, counted by one function for every task, so that budgets can be compared.

Counted are products of matrices, convolutions and attention, forward and backward, as torch executes them: an addition
and a multiplication are two operations. All else (norms, activations, the optimizer) is a few per cent and left out.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from lantu.training.task import Task

COUNTED = 4  # samples of the batch that is counted


def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Of torch's fused attention on processors, which its counter leaves out."""
    return sdpa_flop_count(query, key, value)


def attention_backward(gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_, **__) -> int:
    """Its gradient."""
    return sdpa_backward_flop_count(gradient, query, key, value)


FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FUSED_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
ON_PROCESSORS = {FUSED: attention, FUSED_BACKWARD: attention_backward}


def counted(work: Callable[[], Any]) -> float:
    """Operations that a function executes in torch, with gradients where it computes any."""
    with FlopCounterMode(display=False, custom_mapping=ON_PROCESSORS) as counter:
        work()
    return float(counter.get_total_flops())


def flops_per_sample(task: Task, size: int = COUNTED) -> float:
    """Forward and backward of all modules of a task for one sample of its first batch; changes nothing.

    Args:
        size: samples of the batch. Where batches mix documents of several lengths, a larger one is closer to the mean.
    """
    batch, generator = task.batch(0, size), torch.Generator().manual_seed(0)

    def work() -> None:
        for module in task.networks:
            loss, _ = task.loss(module, batch, 0, generator)
            if loss.requires_grad:
                loss.backward()

    with torch.random.fork_rng(devices=[]):
        total = counted(work)
    for network in task.networks.values():
        network.zero_grad(set_to_none=True)
    return total / size
