"""The network of discrete diffusion on torch: prompt, noisy codes and the time → logits of the clean codes.

Shapes: B batch, N ids of codes and prompt, n codes, D width, K codebook size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lantu import files
from lantu.engine.request import Ranges
from lantu.models.lantu.decoder.network import sinusoids
from lantu.models.masked.network import BidirectionalTransformer
from lantu.rivals.vq_diffusion.config import VqDiffusionConfig
from lantu.weights.names import VQ_DIFFUSION

FOLDER_KIND = files.FolderKind(
    "a discrete diffusion model", ("config.json",), files.WEIGHTS.files, ("model_type", VQ_DIFFUSION)
)


class VqDiffusionTransformer(BidirectionalTransformer):
    """Predicts clean codes; its blocks are modulated by the time, as those of lantu's decoder."""

    part, sizes, folder_kind, modulated = "vq_diffusion", VqDiffusionConfig, FOLDER_KIND, True

    def __init__(self, config: VqDiffusionConfig):
        super().__init__(config)
        self.schedule = config.schedule
        modulate = nn.Linear(config.width, 6 * config.width)
        self.time = nn.Sequential(nn.Linear(128, config.width), nn.SiLU(), modulate)
        nn.init.zeros_(modulate.weight)
        nn.init.zeros_(modulate.bias)

    def modulation(self, share_B: Tensor) -> Tensor:
        """(B, 6, D) at times given as a share of all steps."""
        return self.time(sinusoids(share_B)).view(len(share_B), 6, self.config.width)

    def clean(self, ids_BN: Tensor, seen_BN: Tensor, grid: tuple[int, int], t_B: Tensor) -> Tensor:
        """Logits of the clean codes (B, n, K).

        Args:
            ids_BN, seen_BN: see ``BidirectionalTransformer``; the hole id where a code is masked.
            t_B: times, integers from 1 to the number of steps.
        """
        return self(ids_BN, seen_BN, *grid, self.modulation(t_B.float() / self.config.steps))

    @torch.inference_mode()
    def predict(
        self, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], ranges: Ranges, t: int
    ) -> list[np.ndarray]:
        """See ``drafter.DiffusionLanguage``."""
        share_1 = torch.full((1,), t / self.config.steps, device=self.embedding.weight.device)
        return self.logits(prompts, drafts, ranges, self.modulation(share_1))
