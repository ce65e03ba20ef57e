"""The network of discrete diffusion on the kernels, without torch; equal to ``network``.

Shapes: L layers, D width.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lantu import kernels
from lantu.engine.request import Ranges
from lantu.kernels import to_float
from lantu.models.lantu.decoder.native import sinusoids
from lantu.models.masked.native import BidirectionalLanguage
from lantu.rivals.vq_diffusion.transitions import Schedule


class VqDiffusionLanguage(BidirectionalLanguage):
    """See ``drafter.DiffusionLanguage``."""

    part = "vq_diffusion"

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, np.ndarray], precise: bool = False):
        super().__init__(config, state, precise)
        self.schedule = Schedule(config["steps"], self.vocabulary.codebook_size, config["masked"])
        self.tables_L6D = np.stack([to_float(state[f"blocks.{each}.table"]) for each in range(config["layers"])])
        self.time = [
            kernels.linear(state[f"time.{at}.weight"], state[f"time.{at}.bias"], precise=True) for at in (0, 2)
        ]

    def predict(
        self, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], ranges: Ranges, t: int
    ) -> list[np.ndarray]:
        """One forward pass of drafts that are at the same time."""
        return self.logits(prompts, drafts, ranges, self.modulation(t / self.schedule.steps))

    @np.errstate(over="ignore", invalid="ignore")  # damaged weights are found in the logits
    def modulation(self, share: float) -> np.ndarray:
        """(L, 6, D) at a time given as a share of all steps."""
        inner = self.time[0](sinusoids(share)[None])
        shared = self.time[1](inner / (1 + np.exp(-inner)))
        return self.tables_L6D + shared.reshape(6, -1)
