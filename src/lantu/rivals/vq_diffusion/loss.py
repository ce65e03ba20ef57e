"""The variational bound of discrete diffusion (arXiv:2111.14822, equations 6 to 9), in closed form.

Shapes: B pictures, n codes, K codebook size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lantu.rivals.vq_diffusion.transitions import Schedule, Transition, posterior

LEAST = 1e-20  # probability, so that a logarithm is finite


def divergence(logits_BnK: Tensor, clean_Bn: Tensor, noisy_Bn: Tensor, t_B: Tensor, schedule: Schedule) -> Tensor:
    """KL(q(x_{t-1} | x_t, x_0) ‖ p(x_{t-1} | x_t)) of each code in nats, (B, n).

    At t = 1 it is -log p(x_0 | x_1), since the true posterior is certain. The bound of a code is T times the mean over
    all times, but for the constant KL of the last noise.

    Args:
        noisy_Bn: codes at time t, K where masked.
        t_B: from 1 to the number of steps.
    """
    t = t_B.cpu().numpy()
    transitions = (schedule.until(t - 1), schedule.between(t - 1, t), schedule.until(t))
    before, step, until = (on(each, logits_BnK.device) for each in transitions)
    truth = F.one_hot(clean_Bn, logits_BnK.shape[-1]).float()
    wanted = posterior(truth, noisy_Bn, before, step, until)
    found = posterior(logits_BnK.float().softmax(-1), noisy_Bn, before, step, until)
    return (wanted * (wanted.clamp_min(LEAST).log() - found.clamp_min(LEAST).log())).sum(-1)


def on(transition: Transition, device: torch.device) -> Transition:
    """A transition of each picture (B) as tensors that broadcast against (B, n)."""
    numbers = (transition.stay, transition.replace, transition.mask)
    return Transition(*(torch.as_tensor(each, dtype=torch.float32, device=device)[:, None] for each in numbers))
