"""Random changes to training pictures. Shapes: B batch, C channels, H W pixels."""

import torch
import torch.nn.functional as functional
from torch import Tensor


def tint(pixels_BCHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Mix a share of the pictures with a random colour each, from none to three quarters of it."""
    B = len(pixels_BCHW)
    strength_B = (torch.rand(B, generator=generator) < share) * torch.rand(B, generator=generator) * 0.75
    color_BC = 2 * torch.rand(B, 3, generator=generator) - 1
    return torch.lerp(pixels_BCHW, color_BC[:, :, None, None], strength_B[:, None, None, None])


def move(pixels_BCHW: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shift each picture by up to ``most`` pixels in each direction, edges repeated, and mirror half of them."""
    B, _, H, W = pixels_BCHW.shape
    padded = functional.pad(pixels_BCHW, (most, most, most, most), mode="replicate")
    corners_B2 = torch.randint(2 * most + 1, (B, 2), generator=generator).tolist()
    moved = torch.stack([one[:, y : y + H, x : x + W] for one, (y, x) in zip(padded, corners_B2, strict=True)])
    mirrored_B = torch.rand(B, generator=generator) < 0.5
    return torch.where(mirrored_B[:, None, None, None], moved.flip(3), moved)


def flatten(pixels_BCHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Put one colour, or a slope from one to another, in place of a share of the pictures."""
    B, C, H, W = pixels_BCHW.shape
    chosen_B, sloping_B = (torch.rand(B, generator=generator) < odds for odds in (share, 0.5))
    first_BC, last_BC = (2 * torch.rand(B, C, generator=generator) - 1 for _ in range(2))
    last_BC = torch.where(sloping_B[:, None], last_BC, first_BC)
    angle_B = 2 * torch.pi * torch.rand(B, 1, 1, generator=generator)
    y_H1, x_W = torch.linspace(-1, 1, H)[:, None], torch.linspace(-1, 1, W)
    along_BHW = (angle_B.sin() * y_H1 + angle_B.cos() * x_W) / 2**1.5 + 0.5
    plain_BCHW = torch.lerp(first_BC[..., None, None], last_BC[..., None, None], along_BHW[:, None])
    return torch.where(chosen_B[:, None, None, None], plain_BCHW, pixels_BCHW)
