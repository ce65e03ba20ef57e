"""What the loop asks of whatever is trained: networks, batches and a loss."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

Metrics = dict[str, float | Tensor]


class Task(Protocol):
    """Something to train. The loop owns devices, precision, optimizers, averages, checkpoints and logs.

    Beyond the members below a task may have any of:

    - ``after_step(step)``: called when the step's update is done.
    - ``sample(step, folder)``: write something to look at, under the averaged weights, without gradients.
    - ``export(folder)``: write what others load, under the averaged weights; called at the end of a run.
    - ``to(device)``: bring what is not among ``networks`` (frozen helpers) to the device.
    - ``compile()``: compile with torch in a way of its own, instead of every network's ``compile()``.
    - ``hidden(name, parameter) -> bool``: which matrices Muon takes (see ``optimizer.is_hidden``).
    - ``rate(name) -> float``: a parameter's share of the learning rate; 1 unless told.
    - ``flops_per_sample``: float, forward and backward, for the logs.

    Attributes:
        networks: player → network. Each player has an optimizer of its own and they play in this order; one player
            is the rule, a second one a critic. Buffers are saved with the weights. Parameters that don't require
            gradients stay as they are.
    """

    networks: dict[str, nn.Module]

    def batch(self, step: int, size: int) -> Any:
        """The ``step``-th batch of ``size`` samples: tensors on the CPU, bare or in tuples, lists and dicts.

        A pure function of its arguments, so that a resumed run sees what an unbroken one would. Called ahead of
        time in a background thread. With accumulation or several ranks ``step`` counts batches, not updates.
        """
        ...

    def loss(self, player: str, batch: Any, step: int, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """What ``player`` minimises (a scalar with gradient), and what to log.

        Runs under autocast. Every random choice comes from ``generator`` (which lives on the run's device) or from
        torch's global one: the loop seeds both from the run's seed and the step. Metrics may stay tensors (scalars),
        so that nothing waits for them. A loss without gradient passes the turn: the player does not move.
        """
        ...


def hook(task: Task, name: str, *arguments: Any) -> None:
    """Call one of the members that a task may have, if it has it."""
    if member := getattr(task, name, None):
        member(*arguments)
