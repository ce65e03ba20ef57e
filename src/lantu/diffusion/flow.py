"""Flow matching: how the decoder is trained. Shapes: B batch, C channels, H W pixels, h w grid.

The path is straight, ``x_t = t · x + (1 - t) · noise`` (arXiv:2210.02747); the network predicts x, the loss is on the
velocity ``v = (x - x_t) / (1 - t)`` (arXiv:2511.13720, where predicting x is what lets large pixel patches work).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lantu.diffusion.samplers import LAST
from lantu.types import MASK_CODE


@dataclass(frozen=True)
class Corruption:
    """How codes are spoilt in training, so that the decoder forgives a language model's slips.

    Attributes:
        dropped: share of pictures that lose all codes (for guidance).
        hidden: share of pictures that lose their last codes in reading order (for previews of partial drafts).
        spoilt: share of pictures of which some codes are replaced by random ones.
        most: the largest share of codes replaced in one picture.
    """

    dropped: float = 0.1
    hidden: float = 0.1
    spoilt: float = 0.4
    most: float = 0.2

    def __call__(self, codes_Bhw: Tensor, codebook_size: int, generator: torch.Generator) -> Tensor:
        """Spoil a batch of codes; the random choices come from the generator alone."""

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=codes_Bhw.device)

        B, h, w = codes_Bhw.shape
        share = (draw(B, 1, 1) < self.spoilt) * draw(B, 1, 1) * self.most
        other = replace(codes_Bhw, share, codebook_size, generator)
        known = torch.where(draw(B) < self.hidden, (draw(B) * h * w).long(), h * w)
        other = mask_tail(other, known)
        return torch.where(draw(B, 1, 1) < self.dropped, MASK_CODE, other)


def replace(codes_Bhw: Tensor, share: Tensor | float, codebook_size: int, generator: torch.Generator) -> Tensor:
    """Replace a share of codes: half by any code, half by one from elsewhere in the batch, which is a likelier slip."""
    device = codes_Bhw.device
    uniform = torch.randint(codebook_size, codes_Bhw.shape, generator=generator, device=device)
    shuffled = codes_Bhw.flatten()[torch.randperm(codes_Bhw.numel(), generator=generator, device=device)]
    coin = torch.rand(codes_Bhw.shape, generator=generator, device=device) < 0.5
    wrong = torch.where(coin, uniform, shuffled.view(codes_Bhw.shape))
    return torch.where(torch.rand(codes_Bhw.shape, generator=generator, device=device) < share, wrong, codes_Bhw)


def flow_loss(
    predict: Callable[[Tensor, Tensor, Tensor], Tensor],
    pixels_BCHW: Tensor,
    codes_Bhw: Tensor,
    generator: torch.Generator,
    mean: float = -0.8,
    spread: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Mean squared error of the velocity, and the predicted clean pictures (B, C, H, W).

    Args:
        predict: (noisy, time, codes) → clean.
        mean, spread: times are a logistic of a normal draw: more noise than picture for a negative mean.
    """
    device = pixels_BCHW.device
    time = torch.sigmoid(mean + spread * torch.randn(len(pixels_BCHW), generator=generator, device=device))
    noise = torch.randn(pixels_BCHW.shape, generator=generator, device=device)
    t = time[:, None, None, None]
    clean = predict(t * pixels_BCHW + (1 - t) * noise, time, codes_Bhw)
    error = (clean.float() - pixels_BCHW) / (1 - t).clamp_min(LAST)
    return error.square().mean(), clean


def mask_tail(codes_Bhw: Tensor, known_B: Tensor) -> Tensor:
    """Mask all but the first ``known_B`` codes of each grid, in reading order."""
    order = torch.arange(codes_Bhw[0].numel(), device=codes_Bhw.device).view(codes_Bhw.shape[1:])
    return torch.where(order < known_B[:, None, None], codes_Bhw, MASK_CODE)
