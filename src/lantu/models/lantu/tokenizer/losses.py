"""The losses of a reconstruction. Shapes: B batch, C channels, H W pixels, h w grid, N = h·w, S features."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.models.lantu.tokenizer.model import Reconstruction


class Vision(Protocol):
    """A frozen vision network."""

    def maps(self, pixels_BCHW: Tensor) -> Tensor:
        """Features (B, S, h, w) of pictures in [-1, 1]."""
        ...


@dataclass
class ReconstructionLoss:
    """A weighted sum: pixels (L1 + L2), a perceptual distance, vision features and the quantiser's loss.

    Args:
        perceptual: (B, C, H, W) twice → (B,) distances, e.g. LPIPS; None for none.
        vision: a network whose ``maps`` are predicted from the codes; None for none.
        quantizer_weight: of the quantiser's loss.
        share: of the batch that the two networks see. On a CPU they cost more than the tokenizer itself.
    """

    perceptual: nn.Module | None = None
    perceptual_weight: float = 0.5
    vision: Vision | None = None
    semantic_weight: float = 0.2
    share: float = 1.0
    quantizer_weight: float = 1.0

    def __call__(self, pixels_BCHW: Tensor, made: Reconstruction) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts for the log."""
        error = made.pixels.float() - pixels_BCHW
        squared = error.square().mean()
        loss = error.abs().mean() + squared + self.quantizer_weight * made.quantizer_loss
        parts = {"psnr": 10 * torch.log10(4 / squared.detach()), "quantizer": made.quantizer_loss.detach()}
        judged = max(1, round(self.share * len(pixels_BCHW)))
        if self.perceptual is not None and self.perceptual_weight:
            distance = self.perceptual(made.pixels[:judged], pixels_BCHW[:judged]).mean()
            loss = loss + self.perceptual_weight * distance
            parts["lpips"] = distance.detach()
        if self.vision is not None and self.semantic_weight and made.features is not None:
            with torch.no_grad():
                target = self.vision.maps(pixels_BCHW[:judged])
            height, width = made.codes.shape[1:]
            target = F.adaptive_avg_pool2d(target.float(), (height, width)).flatten(2).transpose(1, 2)
            distance = 1 - F.cosine_similarity(made.features[:judged].float(), target, dim=-1).mean()
            loss = loss + self.semantic_weight * distance
            parts["semantic"] = distance.detach()
        return loss, parts
