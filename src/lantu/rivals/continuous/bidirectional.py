"""The transformer that drafts vectors in random order, on torch: prompt and known vectors → hidden states of all cells.

MAR's (Li et al. 2024, arXiv:2406.11838, section 3.4): attention is bidirectional, and cells that are still to come are
a mask. Shapes: B batch, N cells and ids of the prompt, n = h·w cells, D width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lantu import files
from lantu.models.masked import sequence
from lantu.models.masked.config import BidirectionalConfig
from lantu.models.masked.network import BidirectionalTransformer
from lantu.weights.names import MASKED_VECTORS

FOLDER_KIND = files.FolderKind(
    "a masked model of vectors", ("config.json",), files.WEIGHTS.files, ("model_type", MASKED_VECTORS)
)


class MaskedVectorConfig(BidirectionalConfig):
    """See ``BidirectionalConfig``; its vocabulary has two codes, which stand for nothing."""

    architectures: tuple[str, ...] = ("MaskedVectorTransformer",)
    model_type: str = MASKED_VECTORS
    passes: int = Field(32, ge=1)


class MaskedVectorTransformer(BidirectionalTransformer):
    """Tells a head what the cells that are not known yet should be."""

    part, sizes, folder_kind = "masked_vectors", MaskedVectorConfig, FOLDER_KIND

    def told(self, ids_BN: Tensor, cells_BnD: Tensor, masked_Bn: Tensor) -> Tensor:
        """Embeddings (B, N, D): of the prompt's ids, of known cells, and the mask's of the others."""
        x_BND, n = F.embedding(ids_BN, self.embedding.weight), cells_BnD.shape[1]
        known_BnD = torch.where(masked_Bn[..., None], x_BND[:, :n], cells_BnD.to(x_BND.dtype))
        return torch.cat([known_BnD, x_BND[:, n:]], 1)

    @torch.inference_mode()
    def cells(self, prompts: Sequence[Sequence[int]], drafts: Sequence[np.ndarray]) -> list[Any]:
        """See ``drafter.VectorLanguage``; one sequence after another, normalised."""
        found, device = [], self.embedding.weight.device
        for prompt, draft_nD in zip(prompts, drafts, strict=True):
            blank = sequence.ids_of(prompt, [-1] * len(draft_nD), self.vocabulary)
            ids, cells = torch.from_numpy(blank)[None].to(device), torch.from_numpy(draft_nD)[None].to(device)
            x_BND = self.told(ids, cells, cells[..., 0].isnan())
            grid = sequence.grid_of(prompt, self.vocabulary)
            found.append(self.hidden(x_BND, torch.ones_like(ids, dtype=torch.bool), *grid)[0])
        return found
