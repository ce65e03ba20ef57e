"""The masked language model and its base on the kernels, without torch; equal to ``lantu.models.masked.network``.

Shapes: T ids of all sequences, N ids of one, n codes of one, D width.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from lantu import kernels
from lantu.engine.request import Ranges
from lantu.kernels import Linear, Segment, blocks, to_float
from lantu.models.masked import sequence
from lantu.weights import manifest
from lantu.weights.language_config import vocabulary_of


class BidirectionalLanguage:
    """Prompts and partly masked codes → logits: see ``lantu.models.masked.network.BidirectionalTransformer``.

    Args:
        config: its config.json.
        state: its weights; bfloat16 as uint16.
        precise: compute in float32 instead of bfloat16 with sums in float32.

    Raises:
        ModelError: the weights are not those that the config asks for.
    """

    part: ClassVar[str]  # what the manifest calls it

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, np.ndarray], precise: bool = False):
        manifest.check(self.part, config, state)
        self.exact, self.precise = kernels.exact(), precise
        self.passes = int(config["passes"])
        self.vocabulary = vocabulary_of(dict(config))
        width, count = config["width"], config["layers"]
        layers = blocks.layers(state, "blocks.", count)
        self.stack = kernels.stack(blocks.shape_of(layers, width, blocks.heads_of(width)), layers, precise)
        self.embedding_VD, self.norm_D = state["embedding.weight"], state["norm.weight"]
        self.heads: dict[Ranges, Linear] = {}

    @classmethod
    def load(cls, folder: str | Path, precise: bool = False) -> Self:
        """Read a language model's folder.

        Raises:
            ModelError: it is missing or damaged.
        """
        return cls(*manifest.read_arrays(cls.part, folder), precise)

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in the logits
    def logits(
        self,
        prompts: Sequence[Sequence[int]],
        drafts: Sequence[Sequence[int]],
        ranges: Ranges,
        modulation_L6D: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """One forward pass; see ``lantu.engine.masked_diffusion.MaskedLanguage``."""
        ids = [sequence.ids_of(*pair, self.vocabulary) for pair in zip(prompts, drafts, strict=True)]
        rows = [to_float(self.embedding_VD[each]) for each in ids]
        hidden = self.hidden(prompts, rows, modulation_L6D)
        found = [self.head(ranges)(x_nD) for x_nD in hidden]
        for logits_nV in found:
            manifest.check_finite(self.part, logits_nV)
        return found

    def hidden(
        self, prompts: Sequence[Sequence[int]], rows: Sequence[np.ndarray], modulation_L6D: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Hidden states (n, D) of the cells, before the final norm.

        Args:
            rows: (N, D) of each sequence, the embeddings of cells and prompt (``sequence.ids_of``).
        """
        head_width = self.stack.shape.head_width
        turns = [
            sequence.rotation(*sequence.grid_of(prompt, self.vocabulary), len(prompt), head_width) for prompt in prompts
        ]
        segments = [Segment(self.stack.cache(len(each)), len(each), causal=False) for each in rows]
        x_TD = self.stack.forward(np.concatenate(rows), np.concatenate(turns, axis=1), segments, modulation_L6D)
        starts = np.cumsum([0, *map(len, rows)])
        counts = [len(row) - len(prompt) for row, prompt in zip(rows, prompts, strict=True)]
        return [x_TD[at : at + count] for at, count in zip(starts, counts, strict=False)]

    def head(self, ranges: Ranges) -> Linear:
        """Final norm and head for the ids in ``ranges``."""
        if ranges not in self.heads:
            weight = np.concatenate([self.embedding_VD[allowed.start : allowed.stop] for allowed in ranges])
            self.heads[ranges] = kernels.linear(weight, norm=self.norm_D, eps=blocks.EPS, precise=self.precise)
        return self.heads[ranges]


class MaskedLanguage(BidirectionalLanguage):
    """See ``lantu.engine.masked_diffusion.MaskedLanguage``."""

    part = "masked"

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, np.ndarray], precise: bool = False):
        super().__init__(config, state, precise)
        self.choice_temperature = float(config["choice_temperature"])
