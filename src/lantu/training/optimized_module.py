"""A network with its optimizers and its EMA."""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lantu.training.config import LoopConfig
from lantu.training.distributed import full
from lantu.training.ema import EMA
from lantu.training.optimizer import LrShare, UsesMuon, make_optimizers
from lantu.training.schedule import factor


class OptimizedModule:
    """A network with its optimizers and its EMA. Most runs have one; with a critic there are two.

    Args:
        name: of the module.
        uses_muon, lr_share: see ``lantu.training.task.Task``.
        saves_frozen: checkpoints hold the weights that are not trained too.

    Attributes:
        named: the parameters that are trained, by name.
        optimizers: which together hold each of them once.
        average: the EMA of these parameters; None if ``ema_decay`` is 0.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        config: LoopConfig,
        uses_muon: UsesMuon,
        lr_share: LrShare,
        saves_frozen: bool = True,
    ):
        self.name, self.network, self.config, self.saves_frozen = name, network, config, saves_frozen
        self.named = {key: value for key, value in network.named_parameters() if value.requires_grad}
        self.lr = config.lr * config.lr_scale.get(name, 1.0)
        self.optimizers = make_optimizers(network, config, self.lr, uses_muon, lr_share)
        self.average = EMA(self.named.values(), config.ema_decay, config.ema_every) if config.ema_decay else None

    def requires_grad_(self, requires_grad: bool) -> None:
        """Turn gradients of its parameters on or off."""
        for parameter in self.named.values():
            parameter.requires_grad_(requires_grad)

    def step(self, step: int) -> float | None:
        """Clip the gradients, update the parameters, and clear the gradients.

        Returns:
            the gradients' norm before clipping; None if it was not finite, in which case nothing is updated.
        """
        gradients = [value.grad for value in self.named.values() if value.grad is not None]
        norm = clip(gradients, self.config.clip_norm)
        finite = norm == norm and abs(norm) != float("inf")
        if finite:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = self.lr * group["share"] * factor(step, self.config)
                optimizer.step()
            if self.average:
                self.average.update(step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        return norm if finite else None


def clip(gradients: Iterable[Tensor], limit: float) -> float:
    """Scale gradients in place so that their common norm is at most ``limit`` (0: no limit); return the norm before."""
    gradients = list(gradients)
    if not gradients:
        return 0.0
    # Where layers are split too (tensor parallelism), tensors of different meshes can't meet in one operation.
    together = defaultdict(list)
    for gradient in gradients:
        together[getattr(gradient, "device_mesh", None)].append(gradient)
    norms = [float(full(torch.nn.utils.get_total_norm(each, foreach=True))) for each in together.values()]
    norm = norms[0] if len(norms) == 1 else math.hypot(*norms)
    if limit and norm > limit and norm != float("inf"):
        for each in together.values():
            torch._foreach_mul_(each, limit / norm)
    return norm
