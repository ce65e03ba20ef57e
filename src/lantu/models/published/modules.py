"""Builds modules of transformers and diffusers from a directory's weights, once every tensor is checked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lantu.errors import LantuError, ModelError
from lantu.models.published.text import NEEDS, first_line

if TYPE_CHECKING:
    import torch

HINT = "fetch the model again"


def require(name: str) -> None:
    """Refuse where transformers is missing. Raises LantuError.

    Args:
        name: of the model, for the message.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as problem:
        raise LantuError(f"{name} needs transformers, which is not installed", NEEDS) from problem


def load(make: "Callable[[], torch.nn.Module]", folder: str | Path, prefix: str, device: str) -> "torch.nn.Module":
    """A module with its tensors of a directory, in their own dtype, ready for inference.

    Args:
        make: builds the module; called first where it takes no memory, whatever sizes config.json has.
        prefix: of its tensors' names.

    Raises:
        ModelError: the library refuses the config, or a tensor is missing, unknown or of another shape.
    """
    from lantu.weights import tensors

    state = {name.removeprefix(prefix): value for name, value in tensors.load(folder, (prefix,)).items()}
    return build(make, f"{folder}: {prefix}", state, device)


def build(
    make: "Callable[[], torch.nn.Module]", where: str, state: "Mapping[str, torch.Tensor]", device: str
) -> "torch.nn.Module":
    """A module with these tensors, see ``load``.

    Args:
        where: the tensors are from, for messages; before a tensor's name.
    """
    import torch
    from transformers.initialization import no_init_weights

    try:
        with torch.device("meta"):
            wanted = make().state_dict()
        compare(where, wanted, state)
        with no_init_weights():  # random numbers that nothing reads take seconds
            module = make()
        module.load_state_dict(state, assign=True)
    except LantuError:
        raise
    except Exception as problem:  # of any kind: the libraries do not check what a config says
        raise ModelError(f"can't build {where.strip(' .')} ({first_line(problem)})", HINT) from problem
    return module.to(device).eval().requires_grad_(False)


def compare(where: str, wanted: "Mapping[str, torch.Tensor]", found: "Mapping[str, torch.Tensor]") -> None:
    """Hold a module's tensors against those of a directory. Raises ModelError."""
    for name, value in wanted.items():
        if name not in found:
            raise ModelError(f"{where}{name} is missing, in config.json {list(value.shape)}", HINT)
        if found[name].shape != value.shape:
            what = f"{where}{name} is {list(found[name].shape)}, in config.json {list(value.shape)}"
            raise ModelError(what, HINT)
    if unknown := sorted(found.keys() - wanted.keys()):
        raise ModelError(f"{where}{unknown[0]} is a tensor that config.json does not ask for", HINT)
