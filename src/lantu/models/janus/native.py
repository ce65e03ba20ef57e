"""Janus's language model on lantu's kernels: a plain Llama, with a table of its own for image codes.

Shapes: T ids, R rows, D width, K image codes, E code width, P projection width.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lantu import kernels
from lantu.engine.backends.native import HEADS_KEPT, Language, stored_precise
from lantu.engine.request import Ranges
from lantu.kernels import Linear, to_float
from lantu.kernels.shapes import MULTIPLE
from lantu.models.janus import weights
from lantu.models.janus.config import Config
from lantu.weights import arrays

ERF = np.frompyfunc(math.erf, 1, 1)


class ImageTable:
    """Image codes: see ``protocol.IdTable``.

    In: ``generation_embeddings``, then ``generation_aligner``, an MLP. Out: the final norm, then ``generation_head``,
    Linear-GELU-Linear.
    """

    def __init__(self, state: Mapping[str, np.ndarray], norm_D: np.ndarray, eps: float, precise: bool):
        self.embedding_KE = state["embeddings.weight"]
        self.size = len(self.embedding_KE)
        layers = weights.aligner_layers(state)
        self.aligner = [kernels.linear(padded(weight), bias, precise=precise) for weight, bias in layers]
        head = padded(state["head.proj_out.weight"]), state["head.proj_out.bias"]
        self.projection = kernels.linear(*head, norm=norm_D, eps=eps, precise=precise)
        self.head_KP, self.bias_K, self.precise = (
            state["head.vision_head.weight"],
            state["head.vision_head.bias"],
            precise,
        )
        self.heads_kept: dict[Ranges, Linear] = {}

    def embed(self, ids_T: np.ndarray) -> np.ndarray:
        x_TD = self.aligner[0](padded(to_float(self.embedding_KE[ids_T])))
        for linear in self.aligner[1:]:
            x_TD = linear(padded(gelu(x_TD)))
        return x_TD

    def logits(self, hidden_RD: np.ndarray, ranges: Ranges) -> np.ndarray:
        return self.head(ranges)(padded(gelu(self.projection(hidden_RD))))

    def head(self, ranges: Ranges) -> Linear:
        """The last layer for the codes in ``ranges``; the last few are kept."""
        if ranges not in self.heads_kept:
            if len(self.heads_kept) == HEADS_KEPT:
                self.heads_kept.pop(next(iter(self.heads_kept)))
            weight, bias = (
                np.concatenate([of[each.start : each.stop] for each in ranges]) for of in (self.head_KP, self.bias_K)
            )
            self.heads_kept[ranges] = kernels.linear(padded(weight), bias, precise=self.precise)
        return self.heads_kept[ranges]


def load(folder: str | Path) -> Language:
    """Read the language model of a Janus directory, computed in the dtype in which it is stored.

    Raises:
        ModelError: a file is missing or damaged, or a tensor is not the one that config.json asks for.
    """
    config, state = Config.read(folder), arrays.read(folder)
    text_config, text_state = weights.language(state, config)
    codes = weights.image_codes(state, config)
    precise = stored_precise(text_state)
    language = Language(text_config, text_state, precise)
    language.add(ImageTable(codes, text_state["model.norm.weight"], config.sizes.eps, precise))
    return language


def gelu(x: np.ndarray) -> np.ndarray:
    """x Φ(x), exactly (arXiv:1606.08415)."""
    erf = np.asarray(ERF(x.astype(np.float64) * math.sqrt(0.5)), np.float64)
    return (x * (0.5 * (1 + erf))).astype(np.float32)


def padded(x: np.ndarray) -> np.ndarray:
    """With columns of zeros up to a width that the kernels take: no sum changes."""
    missing = -x.shape[1] % MULTIPLE
    return np.pad(x, ((0, 0), (0, missing))) if missing else x
