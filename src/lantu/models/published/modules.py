"""Builds modules of transformers and diffusers from a directory's weights, once every tensor is checked."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lantu.errors import TRAINING, LantuError, ModelError
from lantu.models.published.text import first_line
from lantu.weights import expected, manifest

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
        raise LantuError(f"{name} needs transformers, which is not installed", TRAINING) from problem


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
    make: "Callable[[], torch.nn.Module]", where: str, state: "dict[str, torch.Tensor]", device: str
) -> "torch.nn.Module":
    """A module with these tensors, see ``load``.

    Args:
        where: the tensors are from, for messages; before a tensor's name.
    """
    from transformers.initialization import no_init_weights

    module = checked(make, where, state)
    for name, first in tied(module).items():
        state.setdefault(name, state[first])
    try:
        if any(name not in state for name, _ in module.named_buffers()):  # computed when it is built, not stored
            with no_init_weights():  # random numbers that nothing reads take seconds
                module = make()
        module.load_state_dict(state, assign=True)
    except Exception as problem:  # of any kind: the libraries do not check what a config says
        raise unbuilt(where, problem) from problem
    return module.to(device).eval().requires_grad_(False)


def check(
    make: "Callable[[], torch.nn.Module]", folder: str | Path, prefix: str, found: "Mapping[str, manifest.Tensor]"
) -> "torch.nn.Module":
    """Hold the tensors of a directory, or their headers, against the module; gives it without memory.

    Args:
        make, prefix: see ``load``.
        found: by their names without the prefix.

    Raises:
        ModelError: the library refuses the config, or a tensor is missing, unknown or of another shape.
    """
    return checked(make, f"{folder}: {prefix}", found)


def checked(
    make: "Callable[[], torch.nn.Module]", where: str, found: "Mapping[str, manifest.Tensor]"
) -> "torch.nn.Module":
    """``check``, with the place as messages name it."""
    import torch

    try:
        with torch.device("meta"):
            module = make()
    except Exception as problem:  # of any kind: the libraries do not check what a config says
        raise unbuilt(where, problem) from problem
    compare(where, module.state_dict(), found, tied(module))
    return module


def tied(module: "torch.nn.Module") -> dict[str, str]:
    """Names of parameters that are the same as others, which come first; files need not have both."""
    first: dict[int, str] = {}
    pairs = {name: first.setdefault(id(each), name) for name, each in module.named_parameters(remove_duplicate=False)}
    return {name: other for name, other in pairs.items() if name != other}


def unbuilt(where: str, problem: Exception) -> ModelError:
    """The error of a library that can't build a module."""
    return ModelError(f"can't build {where.strip(' .:')} ({first_line(problem)})", HINT)


def compare(
    where: str,
    wanted: "Mapping[str, torch.Tensor]",
    found: "Mapping[str, manifest.Tensor]",
    optional: Collection[str] = (),
) -> None:
    """Hold a module's tensors against those of a directory. Raises ModelError."""
    for name, value in wanted.items():
        if name not in found:
            if name in optional:
                continue
            raise ModelError(f"{where}{name} is missing, in config.json {list(value.shape)}", HINT)
        if tuple(found[name].shape) != tuple(value.shape):
            what = f"{where}{name} is {list(found[name].shape)}, in config.json {list(value.shape)}"
            raise ModelError(what, HINT)
        if value.is_floating_point() and (kind := manifest.kind_of(found[name])) not in expected.FLOATS:
            raise ModelError(f"{where}{name} is {kind}, not {' or '.join(expected.FLOATS)}", HINT)
    if unknown := sorted(found.keys() - wanted.keys()):
        raise ModelError(f"{where}{unknown[0]} is a tensor that config.json does not ask for", HINT)
