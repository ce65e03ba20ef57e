"""Whether a training fits into memory, told before its first update."""

from lantu.errors import RecipeError
from lantu.models.free_memory import VARIABLE, free_bytes
from lantu.models.memory import readable
from lantu.training.config import LoopConfig
from lantu.training.device import choose_device
from lantu.training.task import Task

NUMBER = 4  # bytes
HELP = "train less of it (trained=lora), a smaller model, or elsewhere; or try all the same"


def least_bytes(task: Task, config: LoopConfig) -> int:
    """What training takes at least beside the weights: gradients, two moments and the averages of what is trained.

    Activations come on top: ``train --dry-run`` measures them.
    """
    learns = [value for network in task.networks.values() for value in network.parameters() if value.requires_grad]
    copies = 3 + bool(config.ema_decay)
    return sum(value.numel() for value in learns) * NUMBER * copies


def weights_bytes(task: Task) -> int:
    """What the networks take, which on a GPU is not there yet."""
    return sum(value.nbytes for network in task.networks.values() for value in network.parameters())


def check_memory(task: Task, config: LoopConfig) -> None:
    """Refuse a training that can't fit.

    Raises:
        RecipeError: what it needs at least, what there is, and what would help.
    """
    device = choose_device(config.device).type
    free = free_bytes(device) if device in ("cpu", "cuda") else None
    need = least_bytes(task, config) + (weights_bytes(task) if device == "cuda" else 0)
    if free is not None and need > free:
        what = f"the training needs {readable(need)} of memory and more for its batches, {readable(free)} are free"
        raise RecipeError(what, f"{HELP}: {VARIABLE}=any")
