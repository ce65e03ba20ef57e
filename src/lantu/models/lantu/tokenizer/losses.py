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
    pixel_weight: float = 1.0

    def __call__(
        self,
        pixels_BCHW: Tensor,
        made: Reconstruction,
        seen: Tensor | None = None,
        shown: Tensor | None = None,
        words_BT: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts for the log.

        Args:
            seen: what ``made.pixels`` is to equal: latents, where the tokenizer has a codec; else the pictures.
            shown: the first reconstructions as pixels; ``made.pixels`` if None.
            words_BT: what the last features are to say of each picture, as a vector; zero for nothing.
        """
        seen, shown = pixels_BCHW if seen is None else seen, made.pixels if shown is None else shown
        error = made.pixels.float() - seen
        loss = self.pixel_weight * (error.abs().mean() + error.square().mean())
        loss = loss + self.quantizer_weight * made.quantizer_loss
        squared = (shown.detach().float() - pixels_BCHW[: len(shown)]).square().mean()
        parts = {"psnr": 10 * torch.log10(4 / squared), "quantizer": made.quantizer_loss.detach()}
        judged = max(1, round(self.share * len(pixels_BCHW)))
        if self.perceptual is not None and self.perceptual_weight:
            distance = self.perceptual(shown[:judged], pixels_BCHW[: len(shown)][:judged]).mean()
            loss = loss + self.perceptual_weight * distance
            parts["lpips"] = distance.detach()
        if self.vision is not None and self.semantic_weight and made.features is not None:
            with torch.no_grad():
                target = self.vision.maps(pixels_BCHW[:judged])
            target = F.adaptive_avg_pool2d(target.float(), made.grid).flatten(2).transpose(1, 2)
            features_BNS = made.features[:judged, :, : target.shape[-1]].float()
            distance = 1 - F.cosine_similarity(features_BNS, target, dim=-1).mean()
            loss = loss + self.semantic_weight * distance
            parts["semantic"] = distance.detach()
        if words_BT is not None and self.semantic_weight and made.features is not None:
            said_BT = made.features[..., -words_BT.shape[1] :].float().mean(1)
            distance = (1 - F.cosine_similarity(said_BT, words_BT, dim=-1))[words_BT.any(1)].sum() / len(words_BT)
            loss = loss + self.semantic_weight * distance
            parts["words"] = distance.detach()
        return loss, parts
