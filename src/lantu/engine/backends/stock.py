"""The language model of a transformers directory, or of a part of one, on the backend that runs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lantu import kernels
from lantu.weights import arrays
from lantu.weights.architecture import Sizes


def load(folder: str | Path, device: str = "cpu", backend: str = "native") -> Any:
    """The language model of a directory: a ``protocol.Backend``.

    Args:
        backend: "transformers" for transformers' own code, which runs every architecture; "native" for lantu's: the
            kernels on a CPU, torch on other devices and for widths that the kernels don't take.

    Raises:
        ModelError: the directory is incomplete or damaged, or lantu's own code doesn't know the architecture.
    """
    if backend == "transformers":
        from lantu.engine.backends.huggingface import Language as OnTransformers

        return OnTransformers.load(folder, device)
    if device == "cpu" and fits(Sizes.of(arrays.read_config(folder))):
        from lantu.engine.backends.native import Language as OnKernels

        return OnKernels.load(folder)
    from lantu.engine.backends.pytorch import Language as OnTorch

    return OnTorch.load(folder, device=device)


def load_part(
    folder: str | Path,
    sizes: Sizes,
    prefixes: tuple[str, ...],
    take: Callable[[Any], tuple[Any, Any]],
    device: str = "cpu",
) -> Any:
    """The language model of a directory that holds other parts too, computed in the dtype in which it is stored.

    Args:
        sizes: of the language model.
        prefixes: how the names of its tensors begin in the files.
        take: tensors by their names in the files → its config and its tensors, as a stock directory has them.

    Raises:
        ModelError: a file is missing or damaged, or a tensor is not the one that the config asks for.
    """
    if device == "cpu" and fits(sizes):
        from lantu.engine.backends import native

        config, state = take(arrays.read(folder))
        return native.Language(config, state, native.stored_precise(state))
    from lantu.engine.backends import pytorch
    from lantu.weights import tensors

    config, state = take(tensors.load(folder, prefixes))
    return pytorch.Language(config, state, pytorch.stored_dtype(state), device)


def fits(sizes: Sizes) -> bool:
    """Whether the kernels take a language model's widths."""
    return kernels.takes(sizes.width, sizes.head_width)
