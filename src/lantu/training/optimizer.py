"""Which optimizer moves which parameter."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lantu.training.config import LoopConfig
from lantu.training.device import has_bf16
from lantu.training.muon import Muon

UsesMuon = Callable[[str, Tensor], bool]
LrShare = Callable[[str], float]
NOT_HIDDEN = ("embed", "head", "norm", "table", "codebook", "position")


def is_hidden(name: str, parameter: Tensor) -> bool:
    """Whether it is a matrix between hidden layers, which Muon may update; judged by the usual names of the others."""
    return parameter.ndim == 2 and not any(word in name.lower() for word in NOT_HIDDEN)


def make_optimizers(
    network: nn.Module,
    config: LoopConfig,
    lr: float,
    uses_muon: UsesMuon = is_hidden,
    lr_share: LrShare = lambda name: 1.0,
) -> list[torch.optim.Optimizer]:
    """AdamW, fused; with ``optimizer="muon"`` also Muon (arXiv:2502.16982) for the hidden matrices.

    Muon's updates are scaled to the size of AdamW's, so that both use the same learning rate and weight decay.

    Args:
        uses_muon: says of a name and its parameter whether Muon updates it.
        lr_share: says of a name the share of the learning rate, which the parameter's group keeps as "share".
    """
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    shares = sorted({lr_share(name) for name, _ in named}, reverse=True)

    def groups(wanted: Callable[[str, Tensor], bool], weight_decay: float) -> list[dict[str, Any]]:
        """Parameters of one kind, those of each share of the rate together."""
        found = [[p for name, p in named if lr_share(name) == share and wanted(name, p)] for share in shares]
        pairs = zip(shares, found, strict=True)
        return [
            {"params": some, "weight_decay": weight_decay, "lr": lr * share, "share": share}
            for share, some in pairs
            if some
        ]

    def by_muon(name: str, parameter: Tensor) -> bool:
        return config.optimizer == "muon" and uses_muon(name, parameter)

    rest = [
        *groups(lambda name, p: not by_muon(name, p) and p.ndim >= 2, config.weight_decay),
        *groups(lambda name, p: not by_muon(name, p) and p.ndim < 2, 0.0),
    ]
    taken = groups(by_muon, config.weight_decay)
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        optimizers.append(torch.optim.AdamW(rest, lr=lr, betas=config.betas, eps=1e-8, fused=True))
    if taken:
        made = torch.optim.Muon if has_bf16(taken[0]["params"][0].device) else Muon
        optimizers.append(made(taken, lr=lr, adjust_lr_fn="match_rms_adamw"))
    return optimizers
