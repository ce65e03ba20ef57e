"""A stock transformers directory on the backend that runs it."""

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


def fits(sizes: Sizes) -> bool:
    """Whether the kernels take a language model's widths."""
    return kernels.takes(sizes.width, sizes.head_width)
