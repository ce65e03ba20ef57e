"""Janus's language model on torch: a plain Llama, with a table of its own for image codes.

Shapes: T ids, R rows, D width, K image codes, E code width, P projection width.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lantu.engine.backends.pytorch import Language, stored_dtype
from lantu.engine.request import Ranges
from lantu.models.janus import weights
from lantu.models.janus.config import Config
from lantu.weights import tensors


class ImageTable:
    """Image codes: see ``protocol.IdTable`` and ``native.ImageTable``."""

    def __init__(self, state: Mapping[str, Tensor]):
        self.embedding_KE = state["embeddings.weight"]
        self.size = len(self.embedding_KE)
        self.aligner = weights.aligner_layers(state)
        self.projection = state["head.proj_out.weight"], state["head.proj_out.bias"]
        self.head_KP, self.bias_K = state["head.vision_head.weight"], state["head.vision_head.bias"]

    def embed(self, ids_T: Tensor) -> Tensor:
        x_TD = F.linear(F.embedding(ids_T, self.embedding_KE), *self.aligner[0])
        for weight, bias in self.aligner[1:]:
            x_TD = F.linear(F.gelu(x_TD), weight, bias)
        return x_TD

    def logits(self, hidden_RD: Tensor, ranges: Ranges) -> Tensor:
        inner_RP = F.gelu(F.linear(hidden_RD, *self.projection))
        if ranges == (range(self.size),):
            return F.linear(inner_RP, self.head_KP, self.bias_K).float()
        weight, bias = (
            torch.cat([of[each.start : each.stop] for each in ranges]) for of in (self.head_KP, self.bias_K)
        )
        return F.linear(inner_RP, weight, bias).float()


def load(folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Language:
    """Read the language model of a Janus directory.

    Args:
        dtype: to compute in; None for what it is stored in.

    Raises:
        ModelError: a file is missing or damaged, or a tensor is not the one that config.json asks for.
    """
    config = Config.read(folder)
    state = tensors.load(folder, (weights.LANGUAGE, weights.CODES, "lm_head."))
    text_config, text_state = weights.language(state, config)
    dtype = dtype or stored_dtype(text_state)
    codes = {name: value.to(device, dtype) for name, value in weights.image_codes(state, config).items()}
    language = Language(text_config, text_state, dtype, device)
    language.add(ImageTable(codes))
    return language
