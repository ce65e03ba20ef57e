"""Sampling on torch: guidance, temperature, top-k and top-p (arXiv:1904.09751), then one id for each row of logits.

One uniform number, which the caller supplies, decides each id, so nothing here draws random numbers. The kernels do
the same on NumPy arrays: ``lantu.kernels.choose``. Shapes: B rows, V ids.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lantu.engine.backends.protocol import Draw, by_ranges
from lantu.engine.request import Ranges, id_at
from lantu.weights import manifest

COLDEST = 1e-6  # temperature; logits divided by a smaller one would overflow
PLAUSIBLE = math.log(0.1)  # of contrastive decoding: see ``lantu.kernels.Choice``
Logits = Callable[[Sequence[Any], Ranges, Sequence[int]], Tensor]


def choose(logits: Logits, draws: Sequence[Draw]) -> list[int]:
    """An id for each draw: see ``protocol.Backend``.

    Args:
        logits: rows, ranges and each row's ``Draw.back`` → (rows, ids in ranges) float32.
    """
    ids, groups = by_ranges(draws)
    for ranges, places in groups.items():
        chosen = [draws[place] for place in places]
        backs = [draw.back for draw in chosen]
        logits_BV = logits([draw.row for draw in chosen], ranges, backs)
        manifest.check_finite("language", logits_BV.detach().cpu().numpy())
        device = logits_BV.device
        if any(draw.bias is not None for draw in chosen):
            logits_BV = logits_BV.clone()
            for row, draw in enumerate(chosen):
                if draw.bias is not None:
                    logits_BV[row] += torch.from_numpy(draw.bias).to(device)
        if any(draw.unconditional is not None for draw in chosen):
            others_BV = logits([draw.unconditional or draw.row for draw in chosen], ranges, backs)
            guidance_B = torch.tensor([draw.guidance for draw in chosen], device=device)
            kept = [draw.contrast if draw.unconditional is not None else 0 for draw in chosen]
            logits_BV = contrast(logits_BV, others_BV, guidance_B, kept)
        columns = sample(
            logits_BV,
            torch.tensor([draw.uniform for draw in chosen], dtype=torch.float64, device=device),
            [draw.temperature for draw in chosen],
            [draw.top_k for draw in chosen],
            [draw.top_p for draw in chosen],
        )
        for place, column in zip(places, columns.tolist(), strict=True):
            ids[place] = id_at(ranges, column)
    return ids


def guide(conditional_BV: Tensor, unconditional_BV: Tensor, guidance_B: Tensor) -> Tensor:
    """Classifier-free guidance (arXiv:2207.12598, for language models arXiv:2306.17806).

    log p = log p_u + g (log p_c - log p_u) up to a constant. Logits do as well as log-probabilities, since they differ
    by a constant in each row.
    """
    return torch.lerp(unconditional_BV, conditional_BV, guidance_B[:, None])


def contrast(conditional_BV: Tensor, unconditional_BV: Tensor, guidance_B: Tensor, contrast: Sequence[int]) -> Tensor:
    """Guidance, or contrastive decoding where ``contrast`` is not 0: see ``lantu.kernels.Choice``."""
    guided_BV = guide(conditional_BV, unconditional_BV, guidance_B)
    if not any(contrast):
        return guided_BV
    wanted_B = torch.tensor(contrast, device=guided_BV.device)
    places_B1 = wanted_B.clamp(1, guided_BV.shape[-1])[:, None] - 1
    least_B1 = conditional_BV.topk(int(places_B1.max()) + 1).values.gather(-1, places_B1) + PLAUSIBLE
    apart_BV = guidance_B[:, None] * (conditional_BV - unconditional_BV)
    apart_BV = apart_BV.masked_fill(conditional_BV < least_B1, -torch.inf)
    return torch.where((wanted_B > 0)[:, None], apart_BV, guided_BV)


def sample(
    logits_BV: Tensor, uniform_B: Tensor, temperature: Sequence[float], top_k: Sequence[int], top_p: Sequence[float]
) -> Tensor:
    """Sample one id from each row.

    Args:
        uniform_B: float32 in [0, 1), each decides its row.
        temperature: per row; 0 takes the likeliest id.
        top_k: per row; number of candidates, 0 for all; ties with the last candidate stay.
        top_p: per row; the candidates are the likeliest ids that together have this probability; 1 for all.

    Returns:
        (B,) int64: columns of ``logits_BV``.
    """
    likeliest_B = logits_BV.argmax(-1)
    if not any(temperature):
        return likeliest_B
    device = logits_BV.device
    divisor_B = torch.tensor([max(t, COLDEST) if t else 1.0 for t in temperature], device=device)
    probabilities_BV = keep_top_k(logits_BV / divisor_B[:, None], top_k).softmax(-1)
    probabilities_BV = keep_top_p(probabilities_BV, top_p)
    cumulative_BV = probabilities_BV.cumsum(-1, dtype=torch.float64)
    wanted_B1 = uniform_B.double()[:, None] * cumulative_BV[:, -1:]
    drawn_B = torch.searchsorted(cumulative_BV, wanted_B1, right=True)[:, 0]
    # The product may be rounded up to the sum; then the last candidate is drawn.
    last_B = logits_BV.shape[-1] - 1 - (probabilities_BV > 0).flip(-1).int().argmax(-1)
    drawn_B = torch.minimum(drawn_B, last_B)
    if all(temperature):
        return drawn_B
    return torch.where(torch.tensor([t > 0 for t in temperature], device=device), drawn_B, likeliest_B)


def keep_top_k(logits_BV: Tensor, top_k: Sequence[int]) -> Tensor:
    """-inf for all but the k largest of each row."""
    total = logits_BV.shape[-1]
    kept = [k if 0 < k < total else total for k in top_k]
    if min(kept) == total:
        return logits_BV
    place_B1 = torch.tensor(kept, device=logits_BV.device)[:, None] - 1
    least_B1 = logits_BV.topk(max(kept)).values.gather(-1, place_B1)
    return logits_BV.masked_fill(logits_BV < least_B1, -torch.inf)


def keep_top_p(probabilities_BV: Tensor, top_p: Sequence[float]) -> Tensor:
    """0 for all but the likeliest ids of each row that together reach p; the likeliest always stays."""
    if min(top_p) >= 1:
        return probabilities_BV
    share_B1 = torch.tensor(top_p, device=probabilities_BV.device)[:, None]
    sorted_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    sorted_BV = sorted_BV.masked_fill((before_BV >= share_B1) & (share_B1 < 1), 0)
    return torch.zeros_like(probabilities_BV).scatter_(-1, order_BV, sorted_BV)
