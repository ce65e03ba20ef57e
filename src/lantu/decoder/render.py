"""Codes to pixels. Shapes: B batch, C = 3 channels, H W pixels, h w grid."""

import torch
from torch import Tensor

from lantu.decoder.model import UNKNOWN, PixelDecoder
from lantu.decoder.samplers import Each, sampler


@torch.inference_mode()
def render(
    decoder: PixelDecoder,
    codes_Bhw: Tensor,
    seeds: list[int],
    steps: int = 8,
    guidance: float = 1.0,
    sampler_name: str = "euler",
    each: Each | None = None,
) -> Tensor:
    """Draw the pictures that grids of codes stand for.

    Args:
        codes_Bhw: int64, UNKNOWN (-1) where a code is not known.
        seeds: one a picture, for its noise.
        steps: estimates the sampler may use (Heun uses two a step).
        guidance: 1 follows the codes; more exaggerates them, at twice the cost.
        each: called with each step's clean estimate.

    Returns:
        (B, C, h·P, w·P) in [-1, 1].
    """
    B, h, w = codes_Bhw.shape
    patch, device = decoder.config.patch, codes_Bhw.device
    noise = [
        torch.randn(3, h * patch, w * patch, generator=torch.Generator().manual_seed(seed % 2**63)) for seed in seeds
    ]
    pairs = torch.cat([codes_Bhw, torch.full_like(codes_Bhw, UNKNOWN)]) if guidance != 1 else codes_Bhw

    def denoise(x: Tensor, time: float) -> Tensor:
        clean = decoder(x.repeat(len(pairs) // B, 1, 1, 1), x.new_full((len(pairs),), time), pairs).float()
        if guidance != 1:
            follow, ignore = clean.chunk(2)
            clean = ignore + guidance * (follow - ignore)
        return clean.clamp(-1.2, 1.2)

    return sampler(sampler_name)(denoise, torch.stack(noise).to(device), steps, each).clamp(-1, 1)
