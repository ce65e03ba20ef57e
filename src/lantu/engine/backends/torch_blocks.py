"""The layers of a language model on torch: tensors in, tensors out, so that a step can be recorded and replayed.

Nothing here depends on a tensor's values, only on shapes. Shapes: S slots, N new ids, P places of a slot, D width,
A heads, G heads of keys and values, K head width, L layers.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lantu.weights.architecture import Sizes

ACTIVATIONS = {"silu": F.silu, "gelu": partial(F.gelu, approximate="tanh")}


class Layer(NamedTuple):
    """The weights of one layer.

    Projections that share their input are one matrix. Each is (in, out), which a CPU reads twice as fast for few rows.
    """

    attention_norm_D: Tensor
    query_key_value: Tensor
    query_key_value_bias: Tensor | None
    query_key_norm_HK: Tensor | None
    out: Tensor
    attention_post_norm_D: Tensor | None
    feed_forward_norm_D: Tensor
    gate_up: Tensor
    down: Tensor
    feed_forward_post_norm_D: Tensor | None


def forward(
    layers: Sequence[Layer],
    sizes: Sizes,
    x_SND: Tensor,
    starts_S: Tensor,
    used_S: Tensor,
    turns_2SN1K: Tensor,
    memory_L2SGPK: Tensor,
    seen: int,
) -> Tensor:
    """(S, N, D): the hidden states after N new ids in each slot, before the final norm.

    Args:
        x_SND: the new ids' vectors.
        starts_S: ids that each slot holds already.
        used_S: slots that read; the others keep what they have, and their hidden states mean nothing.
        turns_2SN1K: cosine and signed sine of the new ids' rotary angles.
        memory_L2SGPK: keys and values, to which those of the new ids are written.
        seen: places of a slot that are looked at, at least the longest start and N.
    """
    new, width, device = x_SND.shape[1], x_SND.shape[-1:], x_SND.device
    places_SN = starts_S[:, None] + torch.arange(new, device=device)
    hidden_SNP = torch.arange(seen, device=device) > places_SN[..., None]
    mask_S1NP = torch.zeros_like(hidden_SNP, dtype=x_SND.dtype).masked_fill_(hidden_SNP, -torch.inf)[:, None]
    which_S1 = torch.arange(len(starts_S), device=device)[:, None]
    cosine_SN1K, sine_SN1K = turns_2SN1K
    for layer, (keys_SGPK, values_SGPK) in zip(layers, memory_L2SGPK, strict=True):
        inner = F.rms_norm(x_SND, width, layer.attention_norm_D, sizes.eps)
        heads_SND = inner @ layer.query_key_value
        if layer.query_key_value_bias is not None:
            heads_SND = heads_SND + layer.query_key_value_bias
        heads_SNHK = heads_SND.unflatten(-1, (-1, sizes.head_width))
        turned_SNHK = heads_SNHK[:, :, : -sizes.key_value_heads]
        if layer.query_key_norm_HK is not None:
            turned_SNHK = F.rms_norm(turned_SNHK, (sizes.head_width,), None, sizes.eps) * layer.query_key_norm_HK
        swapped = turned_SNHK.roll(sizes.head_width // 2, -1)
        turned_SNHK = (turned_SNHK * cosine_SN1K).addcmul_(swapped, sine_SN1K)
        for memory, fresh_SNGK in (
            (keys_SGPK, turned_SNHK[:, :, sizes.heads :]),
            (values_SGPK, heads_SNHK[:, :, -sizes.key_value_heads :]),
        ):
            by_place = memory.transpose(1, 2)
            kept_SNGK = by_place[which_S1, places_SN]
            by_place[which_S1, places_SN] = torch.where(used_S[:, None, None, None], fresh_SNGK, kept_SNGK)
        seen_SANK = F.scaled_dot_product_attention(
            turned_SNHK[:, :, : sizes.heads].transpose(1, 2),
            keys_SGPK[:, :, :seen],
            values_SGPK[:, :, :seen],
            attn_mask=mask_S1NP,
            enable_gqa=sizes.key_value_heads < sizes.heads,
        )
        branch_SND = seen_SANK.transpose(1, 2).flatten(2) @ layer.out
        x_SND = x_SND + post_norm(branch_SND, layer.attention_post_norm_D, sizes.eps)
        inner = F.rms_norm(x_SND, width, layer.feed_forward_norm_D, sizes.eps)
        gate, up = (inner @ layer.gate_up).chunk(2, -1)
        branch_SND = (ACTIVATIONS[sizes.activation](gate) * up) @ layer.down
        x_SND = x_SND + post_norm(branch_SND, layer.feed_forward_post_norm_D, sizes.eps)
    return x_SND


def post_norm(branch_SND: Tensor, weight_D: Tensor | None, eps: float) -> Tensor:
    """What attention or feed-forward adds, normalised where the architecture does so."""
    return branch_SND if weight_D is None else F.rms_norm(branch_SND, branch_SND.shape[-1:], weight_D, eps)
