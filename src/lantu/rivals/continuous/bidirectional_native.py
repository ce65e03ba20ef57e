"""The transformer that drafts vectors in random order on the kernels, without torch; equal to ``bidirectional``.

Shapes: n cells, D width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lantu.kernels import to_float
from lantu.models.masked import sequence
from lantu.models.masked.native import BidirectionalLanguage


class MaskedVectorLanguage(BidirectionalLanguage):
    """See ``drafter.VectorLanguage``."""

    part = "masked_vectors"

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in what the head makes of it
    def cells(self, prompts: Sequence[Sequence[int]], drafts: Sequence[np.ndarray]) -> list[Any]:
        """One forward pass; before the final norm."""
        rows = []
        for prompt, draft_nD in zip(prompts, drafts, strict=True):
            blank = sequence.ids_of(prompt, [-1] * len(draft_nD), self.vocabulary)
            row_ND, known_n = to_float(self.embedding_VD[blank]), np.isfinite(draft_nD[:, 0])
            row_ND[: len(draft_nD)][known_n] = draft_nD[known_n]
            rows.append(row_ND)
        return self.hidden(prompts, rows)
