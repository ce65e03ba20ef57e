"""EMA: an exponential moving average of the weights, which draws and scores better than the weights themselves."""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from lantu.training.distributed import local


class EMA:
    """Moving averages of some parameters.

    Args:
        parameters: the trained parameters.
        decay: per step.
        every: steps between updates; one update then decays as much as so many steps would.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float, every: int):
        self.parameters = list(parameters)
        self.decay, self.every = decay, every
        self.values = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages after the update of ``step`` (from 0). The decay is weaker early on."""
        if (step + 1) % self.every:
            return
        decay = min(self.decay, (1 + step) / (10 + step)) ** self.every
        torch._foreach_lerp_([local(value) for value in self.values], self.trained(), 1 - decay)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Put the averages into the network inside, and the trained weights back afterwards."""
        with torch.no_grad():
            trained = [parameter.clone() for parameter in self.trained()]
            torch._foreach_copy_(self.trained(), [local(value) for value in self.values])
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.trained(), trained)

    def trained(self) -> list[Tensor]:
        """This rank's part of the trained parameters."""
        return [local(parameter.detach()) for parameter in self.parameters]
