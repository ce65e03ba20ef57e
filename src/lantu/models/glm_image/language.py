"""GLM-Image's language model on lantu's engine: on the kernels where they take its widths, else on torch."""

from typing import Any

from lantu.engine.backends import stock
from lantu.models.glm_image import weights
from lantu.models.glm_image.config import LANGUAGE
from lantu.models.glm_image.folder import GlmImageFolder
from lantu.weights import arrays


def load(folder: GlmImageFolder, device: str = "cpu") -> Any:
    """An ``engine.backends.protocol.Backend``, computed in the dtype in which it is stored.

    Raises:
        ModelError: a file is missing or damaged, or a tensor is not the one that config.json asks for.
    """
    on_kernels = device == "cpu" and stock.fits(folder.sizes)
    return load_native(folder) if on_kernels else load_torch(folder, device)


def load_native(folder: GlmImageFolder) -> Any:
    """On the kernels; its files are mapped."""
    from lantu.engine.backends.native import Language, stored_precise

    config, state = weights.language(arrays.read(folder.path / LANGUAGE), folder.config)
    return Language(config, state, stored_precise(state))


def load_torch(folder: GlmImageFolder, device: str = "cpu") -> Any:
    """On torch; the vision tower's tensors are not read."""
    from lantu.engine.backends.pytorch import Language, stored_dtype
    from lantu.weights import tensors

    state = tensors.load(folder.path / LANGUAGE, (weights.TEXT, weights.HEAD))
    config, state = weights.language(state, folder.config)
    return Language(config, state, stored_dtype(state), device)
