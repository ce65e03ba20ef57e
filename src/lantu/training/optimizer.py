"""Which optimizer moves which parameter."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lantu.training.config import LoopConfig

Hidden = Callable[[str, Tensor], bool]
NOT_HIDDEN = ("embed", "head", "norm", "table", "codebook", "position")


def is_hidden(name: str, parameter: Tensor) -> bool:
    """Whether Muon may take it: a matrix between hidden layers, by the names that such things usually have."""
    return parameter.ndim == 2 and not any(word in name.lower() for word in NOT_HIDDEN)


def make_optimizers(
    network: nn.Module, config: LoopConfig, lr: float, hidden: Hidden = is_hidden
) -> list[torch.optim.Optimizer]:
    """AdamW, fused; with ``optimizer="muon"`` also Muon (arXiv:2502.16982) for the hidden matrices.

    Muon's updates are scaled to AdamW's size, so that both take the same rate and weight decay.
    """
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    taken = [p for name, p in named if config.optimizer == "muon" and hidden(name, p)]
    chosen = {id(parameter) for parameter in taken}
    rest = [parameter for _, parameter in named if id(parameter) not in chosen]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        optimizers.append(torch.optim.AdamW(groups, lr=lr, betas=config.betas, eps=1e-8, fused=True))
    if taken:
        optimizers.append(
            torch.optim.Muon(taken, lr=lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers
