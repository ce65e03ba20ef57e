"""What the training loop asks of a task: networks, batches, losses, and optional hooks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from lantu.files import WEIGHTS, FolderKind
from lantu.training.optimizer import is_hidden

Metrics = dict[str, float | Tensor]


class Task(ABC):
    """Something to train. The loop owns devices, precision, optimizers, averages, checkpoints and logs.

    Every public method of a task is a hook that is declared here; helpers begin with an underscore, or belong to the
    parts that a task is made of. So a misspelt hook is an error when its class is defined, not a hook that is never
    called.

    Attributes:
        networks: module → network. Each module has an optimizer of its own, and they are updated in this order. Most
            tasks have one module; a GAN has a second, its critic. Buffers are saved with the weights. Parameters that
            don't require gradients stay as they are.
        flops_per_sample: forward and backward, for the logs; 0 if unknown.
        notes: lines about the data that the user should read before the run begins.
        exported: the kind of folder that ``export`` writes.
        feeder: makes the same batches as ``batch``, by a method of this name, and can be sent to other processes
            (``lantu.training.feeding``); None if there is nothing like it.
        gains_by_compiling: where tiles multiply matrices, torch.compile makes its updates faster.
        shardable: its networks may be sharded among processes, since it computes with them by calling them.
        reads_frozen: weights that are not trained are read again when a run is resumed, so checkpoints leave them out.
    """

    networks: dict[str, nn.Module]
    flops_per_sample: float = 0.0
    notes: Sequence[str] = ()
    exported: FolderKind = WEIGHTS
    reads_frozen: bool = False
    feeder: Any = None
    shardable: bool = True
    gains_by_compiling: bool = False

    def __init_subclass__(cls, **arguments: Any):
        """Refuse public methods that are no hooks.

        Raises:
            TypeError: there is one.
        """
        super().__init_subclass__(**arguments)
        methods = FunctionType | staticmethod | classmethod
        public = [name for name, member in vars(cls).items() if isinstance(member, methods) and name[0] != "_"]
        if unknown := [name for name in public if not hasattr(Task, name)]:
            hooks = ", ".join(name for name, member in vars(Task).items() if callable(member) and name[0] != "_")
            raise TypeError(f"{cls.__qualname__}.{unknown[0]} is no hook of a task ({hooks}); a helper begins with _")

    @abstractmethod
    def batch(self, step: int, size: int) -> Any:
        """The ``step``-th batch of ``size`` samples: tensors on the CPU, bare or in tuples, lists and dicts.

        A pure function of its arguments, so that a resumed run sees the batches of an unbroken one. Called ahead of
        time in a background thread. With accumulation or several ranks ``step`` counts batches, not updates.
        """

    @abstractmethod
    def loss(self, module: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The scalar that ``module`` minimises, and the metrics to log.

        Runs under autocast. Every random choice comes from ``generator`` (on the run's device) or from torch's global
        generator: the loop seeds both from the run's seed and the step. Metrics may stay scalar tensors, so that
        nothing waits for them. If the loss has no gradient, the module is not updated in this step.
        """

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the trained part to ``folder``, with the averaged weights; called at the end of a run."""

    def sample(self, step: int, folder: Path) -> None:  # noqa: B027
        """Write samples for a person to look at; called with the averaged weights and without gradients."""

    def validation(self, number: int, size: int) -> Any:
        """The ``number``-th batch of the samples that are kept for validation, the same ones in every run.

        None after the last one, or where there is none: then nothing is validated.
        """
        return None

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Metrics:
        """Metrics of a batch of ``validation``: "loss", by which the best checkpoint is chosen, and others for the log.

        Called as ``sample`` is, and seeded alike each time.
        """
        raise NotImplementedError

    def after_step(self, step: int) -> None:  # noqa: B027
        """Called after the update of ``step``."""

    def to(self, device: torch.device) -> None:  # noqa: B027
        """Move what is not among ``networks``, such as frozen teachers, to the device."""

    def compile(self) -> None:
        """Compile the networks with torch."""
        for network in self.networks.values():
            network.compile()

    def uses_muon(self, name: str, parameter: Tensor) -> bool:
        """Whether Muon, where the run uses it, updates this parameter; AdamW updates the others."""
        return is_hidden(name, parameter)

    def lr_share(self, name: str) -> float:
        """The parameter's learning rate, as a share of the run's."""
        return 1.0
