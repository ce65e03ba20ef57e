"""Which tensors of a GLM-Image directory belong to which part, by the names that transformers saves them under."""

from collections.abc import Mapping
from typing import TypeVar

from lantu.models.glm_image.config import Config

TEXT, TOWER, VQ, HEAD = "model.language_model.", "model.visual.", "model.vqmodel.", "lm_head.weight"
T = TypeVar("T")


def language(state: Mapping[str, T], config: Config) -> tuple[dict[str, object], dict[str, T]]:
    """The config and the weights of the language model alone, as a directory of a causal language model has them."""
    found = {f"model.{name.removeprefix(TEXT)}": value for name, value in state.items() if name.startswith(TEXT)}
    if HEAD in state:
        found[HEAD] = state[HEAD]
    return dict(config.text), found
