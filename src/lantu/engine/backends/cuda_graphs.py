"""Steps of one id in fixed shapes, recorded once as a CUDA graph and replayed.

A step of a small model launches hundreds of kernels, each shorter than its launch; a graph launches them at once. Its
shapes and addresses are fixed, so slots are counted in powers of two and places by the 256, and inputs are copied into
tensors that stay. ``LANTU_CUDA_GRAPHS=1`` switches it on where the device is a GPU.

Shapes: S slots, D width, K head width.
"""

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PLACES = 256  # places are rounded up to a multiple
MOST = 32  # graphs that are kept
WARM = 3  # runs before a step is recorded, in which libraries allocate what they need

Play = Callable[[], Tensor]
Record = Callable[[Play], Play]


def recorder(device: torch.device) -> Record | None:
    """How steps are recorded on a device; None if they are not."""
    return record_cuda if device.type == "cuda" and os.environ.get("LANTU_CUDA_GRAPHS") == "1" else None


def record_cuda(step: Play) -> Play:
    """Record a step as a CUDA graph; what it returns is overwritten by the next replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        hidden = step()

    def play() -> Tensor:
        graph.replay()
        return hidden

    return play


class StepGraphs:
    """The recorded steps of one language model.

    Args:
        blocks: the inputs of a step, KV memory and the number of places that are looked at → hidden states (S, 1, D).
        record: see ``recorder``.
    """

    def __init__(self, blocks: Callable[..., Tensor], record: Record):
        self.blocks, self.record = blocks, record
        self.memory: Tensor | None = None
        self.graphs: dict[tuple[int, int], tuple[list[Tensor], Play]] = {}

    def step(self, inputs: Sequence[Tensor], memory: Tensor, seen: int) -> Tensor:
        """(S, 1, D): what ``blocks`` computes.

        Args:
            inputs: x_S1D, starts_S, used_S, turns_2S11K of the first S slots.
            memory: (L, 2, slots, G, places, K), of which the steps read and write the first slots.
        """
        if memory is not self.memory:  # it grew, and moved
            self.graphs.clear()
            self.memory = memory
        count = len(inputs[0])
        slots = min(1 << (count - 1).bit_length(), memory.shape[2])
        places = min(-(-seen // PLACES) * PLACES, memory.shape[4])
        if (slots, places) not in self.graphs:
            if len(self.graphs) == MOST:
                self.graphs.pop(next(iter(self.graphs)))
            self.graphs[slots, places] = self.recorded(inputs, memory[:, :, :slots], places)
        fixed, play = self.graphs[slots, places]
        fixed[2].zero_()  # slots beyond these read nothing
        for own, given in zip(fixed[:3], inputs[:3], strict=True):
            own[:count].copy_(given)
        fixed[3][:, :count].copy_(inputs[3])
        return play()[:count].clone()

    def recorded(self, inputs: Sequence[Tensor], memory: Tensor, places: int) -> tuple[list[Tensor], Play]:
        """Inputs of their own, in which no slot reads, and the recorded step."""
        slots, turns = memory.shape[2], inputs[3]
        fixed = [each.new_zeros(slots, *each.shape[1:]) for each in inputs[:3]]
        fixed.append(turns.new_zeros(2, slots, *turns.shape[2:]))
        return fixed, self.record(lambda: self.blocks(*fixed, memory, places))
