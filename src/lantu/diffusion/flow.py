"""Flow matching, the decoder's loss, and the corruption of its codes.

The path is straight, ``x_t = t · x + (1 - t) · noise`` (arXiv:2210.02747). The network predicts x, and the loss is on
the velocity ``v = (x - x_t) / (1 - t)`` (arXiv:2511.13720: with large pixel patches, predicting x works and predicting
v does not). Shapes: B batch, C channels, H W pixels, h w grid.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lantu.diffusion.samplers import MIN_NOISE
from lantu.types import MASK_CODE


@dataclass(frozen=True)
class Corruption:
    """Corruption of codes in training, which makes the decoder robust to the language model's errors.

    Attributes:
        dropped: share of pictures with all codes masked (for guidance).
        hidden: share of pictures with the last codes in reading order masked (for previews of partial drafts).
        spoilt: share of pictures in which some codes are replaced by random ones.
        most: the largest share of codes replaced in one picture.
        fewest: codes of the shortest prefix that is left of a sequence; 0 for a grid, of which any number is left.
            Lengths from n to 2n are as frequent whatever n is.
        depth: codes of a cell; a wrong one is of the same level.
    """

    dropped: float = 0.1
    hidden: float = 0.1
    spoilt: float = 0.4
    most: float = 0.2
    fewest: int = 0
    depth: int = 1

    def __call__(self, codes_Bhw: Tensor, codebook_size: int, generator: torch.Generator) -> Tensor:
        """Corrupt a batch of codes; all randomness comes from the generator."""

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=codes_Bhw.device)

        B, h, w = codes_Bhw.shape
        share = (draw(B, 1, 1) < self.spoilt) * draw(B, 1, 1) * self.most
        other = replace(codes_Bhw, share, codebook_size // self.depth, generator)
        hides_B, length_B = draw(B) < self.hidden, draw(B)
        left_B = self.fewest * (h * w / self.fewest) ** length_B if self.fewest else length_B * h * w
        known = torch.where(hides_B, left_B.long(), h * w)
        other = mask_tail(other, known)
        return torch.where(draw(B, 1, 1) < self.dropped, MASK_CODE, other)


def replace(codes_Bhw: Tensor, share: Tensor | float, codebook_size: int, generator: torch.Generator) -> Tensor:
    """Replace a share of codes: half by any code, half by one of the batch, which is a likelier error.

    Args:
        codebook_size: of a level, where a cell has several codes. A code is replaced by one of its level.
    """
    device = codes_Bhw.device
    uniform = torch.randint(codebook_size, codes_Bhw.shape, generator=generator, device=device)
    shuffled = codes_Bhw.flatten()[torch.randperm(codes_Bhw.numel(), generator=generator, device=device)]
    coin = torch.rand(codes_Bhw.shape, generator=generator, device=device) < 0.5
    wrong = torch.where(coin, uniform, shuffled.view(codes_Bhw.shape) % codebook_size)
    wrong = wrong + codes_Bhw // codebook_size * codebook_size
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
        mean, spread: of a normal draw whose logistic is the time; a negative mean favours noise.
    """
    device = pixels_BCHW.device
    time = torch.sigmoid(mean + spread * torch.randn(len(pixels_BCHW), generator=generator, device=device))
    noise = torch.randn(pixels_BCHW.shape, generator=generator, device=device)
    t = time[:, None, None, None]
    clean = predict(t * pixels_BCHW + (1 - t) * noise, time, codes_Bhw)
    error = (clean.float() - pixels_BCHW) / (1 - t).clamp_min(MIN_NOISE)
    return error.square().mean(), clean


def mask_tail(codes_Bhw: Tensor, known_B: Tensor) -> Tensor:
    """Mask all but the first ``known_B`` codes of each grid in reading order."""
    order = torch.arange(codes_Bhw[0].numel(), device=codes_Bhw.device).view(codes_Bhw.shape[1:])
    return torch.where(order < known_B[:, None, None], codes_Bhw, MASK_CODE)
