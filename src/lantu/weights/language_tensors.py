"""The tensors of a language model by the names that transformers gives them, of any supported architecture.

Works on NumPy arrays and torch tensors alike.
Shapes: D width, H heads, G heads of keys and values, K head width, F inner width.
"""

from collections.abc import Mapping
from typing import Any

from lantu.weights.architecture import Sizes

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"


def layer_tensors(sizes: Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """A layer's tensors: field of ``lantu.kernels.Layer`` → name within the layer, shape."""
    D, K, F = sizes.width, sizes.head_width, sizes.inner
    HK, GK = sizes.heads * K, sizes.key_value_heads * K
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        "attention_norm": ("input_layernorm.weight", (D,)),
        "query": ("self_attn.q_proj.weight", (HK, D)),
        "key": ("self_attn.k_proj.weight", (GK, D)),
        "value": ("self_attn.v_proj.weight", (GK, D)),
        "out": ("self_attn.o_proj.weight", (D, HK)),
        "feed_forward_norm": ("post_attention_layernorm.weight", (D,)),
        "down": ("mlp.down_proj.weight", (D, F)),
    }
    if sizes.architecture.fused:
        found["gate_up"] = ("mlp.gate_up_proj.weight", (2 * F, D))
    else:
        found |= {"gate": ("mlp.gate_proj.weight", (F, D)), "up": ("mlp.up_proj.weight", (F, D))}
    if sizes.architecture.normed:
        found |= {"query_norm": ("self_attn.q_norm.weight", (K,)), "key_norm": ("self_attn.k_norm.weight", (K,))}
    if sizes.biased:
        found |= {"query_bias": ("self_attn.q_proj.bias", (HK,)), "key_bias": ("self_attn.k_proj.bias", (GK,))}
        found["value_bias"] = ("self_attn.v_proj.bias", (GK,))
    if sizes.architecture.post_norms:
        found["attention_post_norm"] = ("post_self_attn_layernorm.weight", (D,))
        found["feed_forward_post_norm"] = ("post_mlp_layernorm.weight", (D,))
    return found


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name → shape of all tensors that a directory must have."""
    each = layer_tensors(sizes).values()
    found: dict[str, tuple[int, ...]] = {EMBEDDING: (sizes.ids, sizes.width)}
    for number in range(sizes.layers):
        found |= {f"model.layers.{number}.{name}": shape for name, shape in each}
    found[NORM] = (sizes.width,)
    return found if sizes.tied else found | {HEAD: (sizes.head_ids, sizes.width)}


def layer(state: Mapping[str, Any], number: int, sizes: Sizes) -> dict[str, Any]:
    """The weights of one layer by the fields of ``lantu.kernels.Layer``; those that it lacks are None.

    Heads that are rotated in part come in the order of ``Rotary.order``.
    """
    found = {field: state[f"model.layers.{number}.{name}"] for field, (name, _) in layer_tensors(sizes).items()}
    if "gate_up" in found:
        both = found.pop("gate_up")
        found |= {"gate": both[: sizes.inner], "up": both[sizes.inner :]}
    if (order := sizes.rotary.order) is not None:
        for field, heads in (("query", sizes.heads), ("key", sizes.key_value_heads)):
            for name in (field, f"{field}_bias"):
                if name in found:
                    found[name] = reordered(found[name], heads, order.tolist())
    return {"query_norm": None, "key_norm": None} | found


def reordered(rows: Any, heads: int, order: list[int]) -> Any:
    """The rows (H·K, …) of each head in another order."""
    return rows.reshape(heads, len(order), *rows.shape[1:])[:, order].reshape(rows.shape)
