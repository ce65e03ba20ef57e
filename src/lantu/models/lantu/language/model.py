"""The language model: a stock Qwen3 or Llama of transformers in an ordinary transformers directory.

lantu adds one entry to config.json, which other programs ignore:

    "lantu": {"text_size": 3072, "codebook_size": 4096, "grid": [12, 12]}
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu import files
from lantu.errors import ModelError
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import stock, tensors
from lantu.weights.language_config import is_adopted, origin_of, vocabulary_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ARCHITECTURES = ("qwen3", "llama")
FOLDER_KIND = files.FolderKind("a language model of lantu's", ("config.json",), files.WEIGHTS.files, ("lantu", None))


def make(
    vocabulary: Vocabulary,
    width: int = 320,
    layers: int = 8,
    heads: int = 5,
    inner: int | None = None,
    key_value_heads: int | None = None,
    grid: tuple[int, int] = (12, 12),
    max_length: int = 4096,
    architecture: str = "qwen3",
    seed: int = 0,
) -> "PreTrainedModel":
    """A new model with random weights and tied embeddings.

    Args:
        inner: width of the SwiGLU; by default 8/3 of the width, rounded up to a multiple of 64.
        key_value_heads: fewer than ``heads`` make the KV cache smaller (arXiv:2305.13245).
        grid: height and width in codes of the pictures that it will draw.
        max_length: of a sequence, as config.json states it.
        architecture: "qwen3" (normalised queries and keys) or "llama".
        seed: for the weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}, choose {' and '.join(ARCHITECTURES)}")
    config = AutoConfig.for_model(
        architecture,
        vocab_size=vocabulary.size,
        hidden_size=width,
        intermediate_size=inner or -(-8 * width // 3 // 64) * 64,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads or heads,
        head_dim=width // heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
    )
    describe(config, vocabulary, grid)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def deepen(model: "PreTrainedModel", added: int) -> "PreTrainedModel":
    """A deeper model with the same outputs: block expansion (LLaMA Pro, arXiv:2401.02415).

    New layers are spread evenly. Each is a copy of the layer before it, whose last matrices of attention and SwiGLU are
    zero, so that it adds nothing at first.

    Args:
        added: number of new layers.
    """
    import copy

    import torch
    from transformers import AutoModelForCausalLM

    sources = sources_of(model.config.num_hidden_layers, added)
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(sources)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[source] for source in sources]
    deep = AutoModelForCausalLM.from_config(config, dtype=model.dtype)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("model.layers.")}
    for place, source in enumerate(sources):
        is_new = place in new_places(sources)
        for name, value in model.model.layers[source].state_dict().items():
            silent = is_new and name in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
            state[f"model.layers.{place}.{name}"] = torch.zeros_like(value) if silent else value
    deep.load_state_dict(state)
    return deep


def sources_of(old: int, added: int) -> list[int]:
    """The old layer that each layer of a deeper model copies: 0 0 1 2 2 3 4 4 for 5 old and 3 new layers."""
    return sorted([*range(old), *(round((number + 0.5) * old / added - 0.5) for number in range(added))])


def new_places(sources: Sequence[int]) -> list[int]:
    """The new layers of a deeper model: those that copy the same old layer as their predecessor."""
    return [place for place in range(1, len(sources)) if sources[place] == sources[place - 1]]


def revert(model: "PreTrainedModel", origin: "PreTrainedModel", share: float) -> None:
    """Interpolate a model towards the one that it was trained from (WiSE-FT, arXiv:2109.01903).

    Half-way, most abilities that fine-tuning lost are back, and those that it added are soon learnt again. Layers that
    were added since stay as they are.

    Args:
        share: 0 keeps the model, 1 restores the origin.

    Raises:
        ModelError: the two models have different layers.
    """
    import torch

    count, olds = model.config.num_hidden_layers, origin.config.num_hidden_layers
    added = model.config.lantu.get("added", []) if count != olds else []
    places = [place for place in range(count) if place not in added]
    hint = "name the model that it was trained from as its origin"
    if len(places) != olds:
        raise ModelError(f"the model has {len(places)} old layers, its origin {olds}", hint)
    moved = model.state_dict()
    for name, value in origin.state_dict().items():
        if name.startswith("model.layers."):
            number, _, rest = name.removeprefix("model.layers.").partition(".")
            name = f"model.layers.{places[int(number)]}.{rest}"
        if moved[name].shape != value.shape:
            raise ModelError(f"{name} has another shape in the origin", hint)
        moved[name] = torch.lerp(moved[name], value, share)
    model.load_state_dict(moved)


def describe(config: Any, vocabulary: Vocabulary, grid: tuple[int, int]) -> None:
    """Write vocabulary and grid into a transformers config; an adopted model keeps its own special tokens."""
    before = getattr(config, "lantu", None) or {}
    kept = {"adopted": before["adopted"]} if "adopted" in before else {}
    if not kept:
        for name in ("bos", "eos", "pad"):
            setattr(config, f"{name}_token_id", vocabulary.special(name))
    config.lantu = entry(vocabulary, grid) | kept


def entry(vocabulary: Vocabulary, grid: tuple[int, int]) -> dict[str, Any]:
    """What config.json says of lantu."""
    sizes = {"text_size": vocabulary.text_size, "codebook_size": vocabulary.codebook_size, "grid": list(grid)}
    return sizes if vocabulary.depth == 1 else sizes | {"depth": vocabulary.depth}


def export(
    model: "PreTrainedModel",
    folder: str | Path,
    codec: bpe.TextCodec,
    dtype: "torch.dtype | None" = None,
    state: "Mapping[str, torch.Tensor] | None" = None,
) -> None:
    """Write a directory for ``AutoModelForCausalLM`` and ``AutoTokenizer``, atomically.

    Args:
        dtype: of the weights in the file; by default bfloat16, and of an adopted model as it was published.
        state: the weights by name; those of ``model`` if not given.

    Raises:
        DiskError: it can't be written.
    """
    import torch

    config = json.loads(model.config.to_json_string())
    adopted = is_adopted(config)
    dtype = dtype or getattr(torch, origin_of(config).get("dtype", "bfloat16"))
    vocabulary = vocabulary_of(config)
    config |= {"architectures": [type(model).__name__], "dtype": str(dtype).removeprefix("torch.")}
    weights = dict(model.state_dict() if state is None else state)
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    with files.replacing_folder(folder, FOLDER_KIND) as temporary:
        tensors.save(weights, temporary, dtype)
        files.write_json(temporary / "config.json", config)
        if not adopted:
            files.write_json(temporary / "generation_config.json", generation_of(vocabulary))
        codec.save(vocabulary, temporary)


def generation_of(vocabulary: Vocabulary) -> dict[str, Any]:
    """What generation_config.json says: sampling from all ids, with lantu's special tokens."""
    special = {f"{name}_token_id": vocabulary.special(name) for name in ("bos", "eos", "pad")}
    return {**special, "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


def load(folder: str | Path, dtype: "torch.dtype | None" = None) -> "PreTrainedModel":
    """A directory as a transformers model for further training, in float32 by default.

    Raises:
        ModelError: it is not one.
    """
    import torch

    return stock.load(folder, dtype or torch.float32)
