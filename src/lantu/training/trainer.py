"""One update of every module: forward, backward, step. Knows nothing of files, clocks or terminals."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lantu.errors import RecipeError
from lantu.training.compiling import is_compiled
from lantu.training.config import LoopConfig
from lantu.training.device import has_bf16, to_device
from lantu.training.distributed import Ranks, shard
from lantu.training.optimized_module import OptimizedModule
from lantu.training.recompute import recompute_blocks
from lantu.training.short_attention import short_attention
from lantu.training.task import Metrics, Task

PATIENCE = 50  # consecutive updates without a finite gradient after which training stops


class Trainer:
    """A task on its device, ready for updates.

    Attributes:
        modules: in the order in which they are updated.
        in_bf16: whether it multiplies in bfloat16.
        skipped, skipped_in_row: updates without a finite gradient, which are not made.
    """

    def __init__(self, task: Task, config: LoopConfig, device: torch.device, ranks: Ranks):
        self.task, self.config, self.device, self.ranks = task, config, device, ranks
        self.in_bf16 = config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
        self.skipped = self.skipped_in_row = 0
        task.to(device)
        for network in task.networks.values():
            network.to(device).train()
            if config.recompute:
                recompute_blocks(network)
            if ranks.world > 1:
                if not task.shardable:
                    raise RecipeError("this recipe trains in one process", "leave out torchrun, or --devices")
                shard(network, device, ranks.split)
        self.compiled = is_compiled(config, task, device, ranks.world)
        if self.compiled:
            task.compile()
        self.modules = [
            OptimizedModule(name, network, config, task.uses_muon, task.lr_share, not task.reads_frozen)
            for name, network in task.networks.items()
        ]
        self.generator = torch.Generator(device)

    def update(self, step: int, batches: Sequence[Any]) -> Metrics:
        """One step of every module, on the sum of ``batches``.

        Returns:
            "loss", "grad_norm" and the task's own metrics; of modules after the first as "module/loss" and so on.

        Raises:
            RecipeError: gradients have not been finite for many updates.
        """
        batches = [to_device(batch, self.device) for batch in batches]
        metrics: Metrics = {}
        lost = False
        for index, module in enumerate(self.modules):
            if len(self.modules) > 1:
                for other in self.modules:
                    other.requires_grad_(other is module)
            result = self._update_module(module, index, step, batches)
            lost |= result.get("grad_norm", 0.0) is None
            prefix = f"{module.name}/" if index else ""
            metrics |= {prefix + name: value for name, value in result.items() if value is not None}
        if len(self.modules) > 1:
            for module in self.modules:  # as they were, for whoever trains them next
                module.requires_grad_(True)
        self.skipped += lost
        self.skipped_in_row = self.skipped_in_row + 1 if lost else 0
        if self.skipped_in_row >= PATIENCE:
            raise RecipeError(
                f"the gradient has not been finite for {PATIENCE} updates, since step {step - PATIENCE + 1}",
                "resume from the last checkpoint with a smaller loop.lr",
            )
        self.task.after_step(step)
        return metrics

    def _update_module(self, module: OptimizedModule, index: int, step: int, batches: Sequence[Any]) -> dict[str, Any]:
        """Accumulate gradients over all batches, then update the module, unless its loss has no gradient."""
        total: dict[str, Any] = {}
        passes = False
        for micro, batch in enumerate(batches):
            self.seed(step, index, micro)
            with self.attention():
                with self.autocast():
                    loss, metrics = self.task.loss(module.name, batch, step, self.generator)
                passes = not loss.requires_grad
                if not passes:
                    (loss / len(batches)).backward()
            for name, value in {"loss": loss, **metrics}.items():
                value = value.detach() if isinstance(value, Tensor) else value
                total[name] = total.get(name, 0.0) + value / len(batches)
        if not passes:
            total["grad_norm"] = module.step(step)
        return total

    def validate(self, samples: int) -> dict[str, float]:
        """The task's validation metrics over about so many samples; {} where it has none. All ranks see the same."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        number = seen = 0
        with self.averaged():
            while seen < samples and (batch := self.task.validation(number, self.config.batch_size)) is not None:
                self.seed(number, len(self.modules), 0)
                count = pictures_in(batch) or self.config.batch_size
                metrics = self.task.validation_loss(to_device(batch, self.device), self.generator)
                for name, value in metrics.items():
                    sums[name] = sums.get(name, 0.0) + count * float(value)
                    counts[name] = counts.get(name, 0) + count
                number, seen = number + 1, seen + count
        return {name: value / counts[name] for name, value in sums.items()}

    def seed(self, step: int, module: int, micro: int) -> None:
        """Make all randomness a function of the step, so that no generator's state must be saved."""
        entropy = [self.config.seed, step, module, micro, self.ranks.data_rank]
        own, shared = np.random.SeedSequence(entropy).generate_state(2, np.uint64).tolist()
        self.generator.manual_seed(own)
        torch.manual_seed(shared)

    def autocast(self) -> torch.autocast:
        """Autocast in the run's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bf16)

    def attention(self) -> contextlib.AbstractContextManager[Any]:
        """How attention is computed in a forward pass and its backward pass. Compiled ones are torch's to choose."""
        own = self.device.type == "cpu" and self.in_bf16 and not self.compiled
        return short_attention() if own else contextlib.nullcontext()

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the networks are in evaluation mode, with EMA weights, without gradients, in the run's precision."""
        with contextlib.ExitStack() as stack:
            for module in self.modules:
                module.network.eval()
                if module.average:
                    stack.enter_context(module.average.swapped_in())
            stack.enter_context(torch.no_grad())
            stack.enter_context(self.autocast())
            try:
                yield
            finally:
                for module in self.modules:
                    module.network.train()


def pictures_in(batch: Any) -> int:
    """How many pictures a batch of pictures has; 0 for batches of another kind, such as documents."""
    first = batch[0] if isinstance(batch, tuple) and hasattr(batch, "_fields") else batch
    return len(first) if isinstance(first, Tensor) else 0
