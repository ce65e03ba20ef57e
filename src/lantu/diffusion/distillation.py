"""How a denoiser that needs many steps teaches one that needs few: consistency and distribution matching.

Networks here map (noisy, time, codes) to a clean estimate; ``noisy = t · picture + (1 - t) · noise``, of pixels or of
latents. Shapes: B batch, C channels, H W sides, h w grid.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from lantu.types import MASK_CODE

HUBER = 0.03
Network = Callable[[Tensor, Tensor, Tensor], Tensor]


def consistency(
    student: Network,
    slow: Network,
    teacher: Network,
    clean_BCHW: Tensor,
    codes_Bhw: Tensor,
    times: Sequence[float],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The student's estimate at a point of each picture's path, and its target; both (B, C, H, W).

    The target is what ``slow`` estimates one step of the teacher further on; at the last step, what the teacher does
    (arXiv:2303.01469, algorithm 2). The teacher's step is Euler's on the straight path, which is DDIM's on a
    variance-preserving one. The student is called last.

    Args:
        slow: an average of the student.
        clean_BCHW: pictures, or their latents.
        times: of the teacher's steps, from noise to 1.
    """
    device = clean_BCHW.device
    place = torch.randint(len(times) - 1, (len(clean_BCHW),), generator=generator, device=device)
    noise = torch.randn(clean_BCHW.shape, generator=generator, device=device)
    path = torch.tensor(times, device=device)
    now, then = path[place], path[place + 1]
    at = now[:, None, None, None]
    noisy = at * clean_BCHW + (1 - at) * noise
    with torch.no_grad():
        end = teacher(noisy, now, codes_Bhw).float()
        further = noisy + ((then - now) / (1 - now))[:, None, None, None] * (end - noisy)
        ahead = slow(further, then, codes_Bhw).float()
        target = torch.where((place == len(times) - 2)[:, None, None, None], end, ahead)
    return student(noisy, now, codes_Bhw).float(), target


def pseudo_huber(clean_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Between an absolute and a squared error: sqrt(d² + c²) - c per picture (arXiv:2310.14189, section 3.4).

    d is a root mean square here and a norm in the paper, so that the loss does not depend on the picture's size.
    """
    square_B = (clean_BCHW - target_BCHW).square().flatten(1).mean(1)
    return ((square_B + HUBER**2).sqrt() - HUBER).mean()


def few_steps(
    predict: Network,
    shape: torch.Size,
    codes_Bhw: Tensor,
    paths: Sequence[Sequence[float]],
    generator: torch.Generator,
) -> Tensor:
    """The clean estimate of a random step of an Euler path; the steps before it pass no gradient.

    Args:
        paths: the times of each path that a picture may take; all of a batch take the same.
    """
    device = codes_Bhw.device
    noise = torch.randn(shape, generator=generator, device=device)
    chance = torch.rand(2, generator=generator, device=device).tolist()
    times = paths[int(chance[0] * len(paths))]
    last = int(chance[1] * (len(times) - 1))
    x = math.hypot(times[0], 1 - times[0]) * noise if times[0] else noise
    with torch.no_grad():
        for now, then in pairwise(times[: last + 1]):
            clean = predict(x, x.new_full((len(x),), now), codes_Bhw).float()
            x = x + (then - now) / (1 - now) * (clean - x)
    return predict(x, x.new_full((len(x),), times[last]), codes_Bhw).float()


def matching_loss(
    teacher: Network,
    critic: Network,
    pictures_BCHW: Tensor,
    codes_Bhw: Tensor,
    generator: torch.Generator,
    time_of: Callable[[Tensor], Tensor] = lambda chance_B: chance_B,
) -> Tensor:
    """A loss whose gradient is the difference of the two clean estimates (arXiv:2311.18828, eq. 7 and 8).

    As there, it is divided by the teacher's distance from each picture, so that all noise times weigh the same.

    Args:
        critic: a network that has learnt the distribution of these pictures, as the teacher has that of true ones.
        time_of: uniform numbers from 0.02 to 0.98 → the times at which the two are compared.
    """
    device = pictures_BCHW.device
    with torch.no_grad():
        time = time_of(0.02 + 0.96 * torch.rand(len(pictures_BCHW), generator=generator, device=device))
        t = time[:, None, None, None]
        noise = torch.randn(pictures_BCHW.shape, generator=generator, device=device)
        noisy = t * pictures_BCHW + (1 - t) * noise
        real, fake = teacher(noisy, time, codes_Bhw).float(), critic(noisy, time, codes_Bhw).float()
        distance = (pictures_BCHW - real).abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-3)
        target = pictures_BCHW - (fake - real) / distance
    return 0.5 * (pictures_BCHW - target).square().mean()


def guided(predict: Network, scale_B: Tensor) -> Network:
    """The network's guided estimate (arXiv:2207.12598): away from that of a grid of masked codes.

    Args:
        scale_B: 1 is no guidance.
    """
    scale = scale_B[:, None, None, None]

    def call(noisy_BCHW: Tensor, time_B: Tensor, codes_Bhw: Tensor) -> Tensor:
        codes = torch.cat([codes_Bhw, torch.full_like(codes_Bhw, MASK_CODE)])
        both = predict(torch.cat([noisy_BCHW, noisy_BCHW]), torch.cat([time_B, time_B]), codes)
        conditional, unconditional = both.chunk(2)
        return unconditional + scale * (conditional - unconditional)

    return call
