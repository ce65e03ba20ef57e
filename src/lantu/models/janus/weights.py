"""Which tensors of a Janus directory belong to which part, by the names that transformers saves them under.

Shapes: D width of the language model, K image codes, E code width, P projection width.
"""

from collections.abc import Mapping
from typing import TypeVar

from lantu.models.janus.config import Config
from lantu.weights import expected, manifest

LANGUAGE, VQ, TOWER, ALIGNER = "model.language_model.", "model.vqmodel.", "model.vision_model.", "model.aligner."
CODES = "model.generation_"  # the embedding, aligner and head of image codes
NAME = "Janus model"
T = TypeVar("T")


def language(state: Mapping[str, T], config: Config) -> tuple[dict[str, object], dict[str, T]]:
    """The config and the weights of the language model alone, as a Llama directory has them.

    The text's head is the one in the file, where there is one; else the embedding.
    """
    found = {
        f"model.{name.removeprefix(LANGUAGE)}": value for name, value in state.items() if name.startswith(LANGUAGE)
    }
    tied = config.tied and "lm_head.weight" not in state
    if "lm_head.weight" in state:
        found["lm_head.weight"] = state["lm_head.weight"]
    return {**config.text, "tie_word_embeddings": tied}, found


def image_codes(state: Mapping[str, T], config: Config) -> dict[str, T]:
    """The embedding, the aligner and the head of image codes, without their prefix.

    Raises:
        ModelError: a tensor is missing, unknown, or of another shape or type.
    """
    found = {name.removeprefix(CODES): value for name, value in state.items() if name.startswith(CODES)}
    wanted = {name: (shape, expected.FLOATS) for name, shape in image_shapes(config).items()}
    manifest.compare(NAME, config.text, wanted, {}, found)  # pyrefly: ignore
    return found


def image_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """What ``image_codes`` must hold."""
    D, K, E, P = config.sizes.width, config.codebook_size, config.code_width, config.vq["projection_dim"]
    shapes: dict[str, tuple[int, ...]] = {"embeddings.weight": (K, E), "aligner.fc1.weight": (P, E)}
    shapes["aligner.fc1.bias"] = (P,)
    for number in range(config.vq["num_hidden_layers"] - 1):
        shapes |= {f"aligner.hidden_layers.{number}.weight": (P, P), f"aligner.hidden_layers.{number}.bias": (P,)}
    shapes |= {"head.proj_out.weight": (P, D), "head.proj_out.bias": (P,)}
    return shapes | {"head.vision_head.weight": (K, P), "head.vision_head.bias": (K,)}


def aligner_layers(state: Mapping[str, T]) -> list[tuple[T, T]]:
    """Weight and bias of each linear layer from a code's vector to the language model's width."""
    names = ["aligner.fc1"]
    while f"aligner.hidden_layers.{len(names) - 1}.weight" in state:
        names.append(f"aligner.hidden_layers.{len(names) - 1}")
    return [(state[f"{name}.weight"], state[f"{name}.bias"]) for name in names]
