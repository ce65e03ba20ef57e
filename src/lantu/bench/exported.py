"""One step of a language model as a stateless graph, for runtimes that need one.

Shapes: R rows, N new ids, L layers, G heads of keys and values, P places, K head width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.engine.backends.pytorch import Language
from lantu.engine.backends.torch_blocks import ACTIVATIONS
from lantu.engine.request import Ranges


class Step(nn.Module):
    """New ids and the KV cache → logits, and the keys and values to append to the cache."""

    def __init__(self, language: Language, ranges: Ranges):
        super().__init__()
        self.language = language
        self.head = language.text.weight(ranges)
        self.rotation = language.rotation(4096)

    def forward(self, ids_RN: Tensor, places_N: Tensor, memory: Tensor, mask_NP: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (R, V), and the new keys and values (L, 2, R, G, N, K).

        Args:
            places_N: positions of the new ids.
            memory: (L, 2, R, G, P, K), keys and values so far.
            mask_NP: (N, P + N), 0 where a new id may attend and -inf elsewhere; the last N columns are the new ids.
        """
        sizes = self.language.sizes
        cosine_N1K, sine_N1K = self.rotation[0][places_N][:, None], self.rotation[1][places_N][:, None]
        x_RND = self.language.text.embed(ids_RN)
        fresh = []
        for number, layer in enumerate(self.language.layers):
            inner = norm(x_RND, layer.attention_norm_D, sizes.eps)
            heads_RND = inner @ layer.query_key_value
            if layer.query_key_value_bias is not None:
                heads_RND = heads_RND + layer.query_key_value_bias
            heads_RNHK = heads_RND.unflatten(-1, (-1, sizes.head_width))
            turned = heads_RNHK[:, :, : -sizes.key_value_heads]
            if layer.query_key_norm_HK is not None:
                turned = norm(turned, layer.query_key_norm_HK, sizes.eps)
            first, second = turned.chunk(2, -1)
            turned = turned * cosine_N1K + torch.cat([second, first], -1) * sine_N1K
            turned = turned.transpose(1, 2)
            key, value = turned[:, sizes.heads :], heads_RNHK[:, :, -sizes.key_value_heads :].transpose(1, 2)
            fresh.append(torch.stack([key, value]))
            shared = sizes.heads // sizes.key_value_heads
            keys = torch.cat([memory[number, 0], key], 2).repeat_interleave(shared, 1)
            values = torch.cat([memory[number, 1], value], 2).repeat_interleave(shared, 1)
            seen = F.scaled_dot_product_attention(turned[:, : sizes.heads], keys, values, attn_mask=mask_NP)
            branch = seen.transpose(1, 2).flatten(2) @ layer.out
            x_RND = x_RND + post_norm(branch, layer.attention_post_norm_D, sizes.eps)
            gate, up = (norm(x_RND, layer.feed_forward_norm_D, sizes.eps) @ layer.gate_up).chunk(2, -1)
            branch = (ACTIVATIONS[sizes.activation](gate) * up) @ layer.down
            x_RND = x_RND + post_norm(branch, layer.feed_forward_post_norm_D, sizes.eps)
        return norm(x_RND[:, -1], self.language.norm_D, sizes.eps) @ self.head, torch.stack(fresh)


def post_norm(branch: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """What attention or feed-forward adds, normalised if there is a weight."""
    return branch if weight is None else norm(branch, weight, eps)


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMS norm."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight
