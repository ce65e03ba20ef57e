"""Which tensors of an Emu3 directory belong to which part.

transformers saves them under the names of the published weights, which differ from those of its modules; both are read.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from lantu.errors import ModelError
from lantu.models.emu3.config import Config
from lantu.weights import arrays

LANGUAGE, VQ = ("text_model.model.", "model.text_model."), ("vqmodel.", "model.vqmodel.")
HEAD = ("text_model.lm_head.weight", "lm_head.weight")
T = TypeVar("T")


def language(state: Mapping[str, T], config: Config) -> tuple[dict[str, object], dict[str, T]]:
    """The config and the weights of the language model alone, as a Llama directory has them."""
    found = {
        f"model.{name.removeprefix(prefix)}": value
        for prefix in LANGUAGE
        for name, value in state.items()
        if name.startswith(prefix)
    }
    if not config.text["tie_word_embeddings"]:
        for name in set(HEAD) & set(state):
            found["lm_head.weight"] = state[name]
    return dict(config.text), found


def vq_prefix(names: Iterable[str]) -> str:
    """How the names of the VQ model's tensors begin. Raises ModelError where there are none."""
    names = list(names)
    for prefix in VQ:
        if any(name.startswith(prefix) for name in names):
            return prefix
    raise ModelError(f"the model lacks {VQ[0]}*", arrays.HINT)
