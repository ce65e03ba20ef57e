"""Several versions of one pretrained network in training: a student, its slow average, a critic, and the teacher, which
is the network as it was.

With LoRA they are one network in memory, each with a LoRA of its own; else each is a copy.
"""

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from lantu.models.diffusers import lora
from lantu.models.diffusers.network import PretrainedNetwork


class Variants(Protocol):
    """The versions, by name."""

    def module(self, name: str) -> nn.Module:
        """What is trained of a version, and checkpointed."""
        ...

    def use(self, name: str | None) -> PretrainedNetwork:
        """A version, to call at once; None is the teacher. A version whose gradient is needed is used last."""
        ...


class LoRAVariants:
    """One network, with LoRAs that take effect in turn.

    Args:
        rank: of each.
        seed: of their first values, the same for all.
    """

    def __init__(self, network: PretrainedNetwork, names: Sequence[str], rank: int, seed: int):
        self.network = network.requires_grad_(False)
        targets = lora.layers(network.network)
        for name in names:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                lora.add(network.network, rank, targets, name)
        self.modules = {name: LoRAWeights(network.network, name) for name in names}

    def module(self, name: str) -> nn.Module:
        return self.modules[name]

    def use(self, name: str | None) -> PretrainedNetwork:
        from peft.tuners.tuners_utils import BaseTunerLayer

        for layer in self.network.network.modules():
            if isinstance(layer, BaseTunerLayer):
                layer.enable_adapters(name is not None)
                if name is not None:
                    layer.set_adapter(name)
        return self.network


class Copies:
    """The network itself as teacher, and a copy for each name."""

    def __init__(self, network: PretrainedNetwork, names: Sequence[str]):
        self.copies = {name: copy.deepcopy(network).requires_grad_() for name in names}
        self.teacher = network.requires_grad_(False)

    def module(self, name: str) -> nn.Module:
        return self.copies[name]

    def use(self, name: str | None) -> PretrainedNetwork:
        return self.teacher if name is None else self.copies[name]


class LoRAWeights(nn.Module):
    """The parameters of one LoRA of a network, to which they also belong."""

    def __init__(self, network: nn.Module, name: str):
        super().__init__()
        for key, parameter in network.named_parameters():
            if ".lora_" in key and f".{name}." in key:
                self.register_parameter(key.replace(f".{name}.", ".").replace(".", ":"), parameter)

    def state(self) -> dict[str, Tensor]:
        """The LoRA as its file names it."""
        return {key.replace(":", "."): value for key, value in self.named_parameters()}


class Followed(nn.Module):
    """A student's module and that of its slow average: one module, so that a checkpoint has both."""

    def __init__(self, student: nn.Module, slow: nn.Module):
        super().__init__()
        self.student, self.slow = student.requires_grad_(True), slow.requires_grad_(False)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average towards the student."""
        for average, value in zip(self.slow.parameters(), self.student.parameters(), strict=True):
            average.lerp_(value, 1 - decay)
