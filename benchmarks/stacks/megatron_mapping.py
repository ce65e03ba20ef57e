"""Weights of a Qwen3 directory under the names and in the layout of Megatron's GPTModel, and back.

Nothing is computed: rows are put beside one another, so that the way back gives every bit. Megatron keeps, for each
group of queries that share a key, the queries, the key and the value in one matrix (``linear_qkv``), and gate and up of
the feed-forward in another (``linear_fc1``). Names: transformers' ``models/qwen3`` and megatron-core 0.16's
``get_gpt_layer_local_spec``. D width, G groups of keys, Q queries a group, d width of a head.
"""

from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
WHOLE = {
    "model.embed_tokens.weight": "embedding.word_embeddings.weight",
    "model.norm.weight": "decoder.final_layernorm.weight",
    "lm_head.weight": "output_layer.weight",  # only where it is not tied to the embedding
}
LAYER = {
    "input_layernorm": "input_layernorm",
    "self_attn.q_norm": "self_attention.q_layernorm",
    "self_attn.k_norm": "self_attention.k_layernorm",
    "self_attn.o_proj": "self_attention.linear_proj",
    "post_attention_layernorm": "pre_mlp_layernorm",
    "mlp.down_proj": "mlp.linear_fc2",
}
QKV = [f"self_attn.{name}_proj.weight" for name in "qkv"]
GATED = ["mlp.gate_proj.weight", "mlp.up_proj.weight"]


def check(config: dict[str, Any]) -> None:
    """Refuse what the mapping doesn't know.

    Raises:
        ValueError: another architecture than Qwen3, or a form of it that GPTModel would compute otherwise.
    """
    rotary = config.get("rope_parameters") or {}
    if config.get("model_type") != "qwen3":
        raise ValueError(f"model_type is {config.get('model_type')!r}, and only 'qwen3' is mapped")
    if config.get("attention_bias") or rotary.get("rope_type", "default") != "default":
        raise ValueError("attention_bias and scaled rotary angles are not mapped")


def to_megatron(state: State, config: dict[str, Any]) -> State:
    """Weights of ``Qwen3ForCausalLM`` for GPTModel; a tied head is left out."""
    left = dict(state)
    if config["tie_word_embeddings"]:
        left.pop("lm_head.weight", None)
    new = {theirs: left.pop(ours) for ours, theirs in WHOLE.items() if ours in left}
    for layer in range(config["num_hidden_layers"]):
        ours, theirs = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        for name, other in LAYER.items():
            new[f"{theirs}{other}.weight"] = left.pop(f"{ours}{name}.weight")
        new[f"{theirs}self_attention.linear_qkv.weight"] = join([left.pop(ours + name) for name in QKV], config)
        new[f"{theirs}mlp.linear_fc1.weight"] = torch.cat([left.pop(ours + name) for name in GATED])
    if left:
        raise ValueError(f"weights that GPTModel has no place for: {', '.join(sorted(left))}")
    return new


def from_megatron(state: State, config: dict[str, Any]) -> State:
    """Weights of GPTModel for ``Qwen3ForCausalLM``, the reverse of ``to_megatron``."""
    new = {ours: state[theirs] for ours, theirs in WHOLE.items() if theirs in state}
    for layer in range(config["num_hidden_layers"]):
        ours, theirs = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        for name, other in LAYER.items():
            new[f"{ours}{name}.weight"] = state[f"{theirs}{other}.weight"]
        parts = part(state[f"{theirs}self_attention.linear_qkv.weight"], config)
        parts += state[f"{theirs}mlp.linear_fc1.weight"].chunk(2)
        new |= {ours + name: weight.contiguous() for name, weight in zip(QKV + GATED, parts, strict=True)}
    if config["tie_word_embeddings"]:
        new["lm_head.weight"] = new["model.embed_tokens.weight"]
    return new


def join(weights: list[Tensor], config: dict[str, Any]) -> Tensor:
    """Queries (G·Q·d, D), keys and values (G·d, D) in one matrix, group by group."""
    groups, width = config["num_key_value_heads"], weights[0].shape[1]
    return torch.cat([weight.view(groups, -1, width) for weight in weights], dim=1).reshape(-1, width)


def part(weight: Tensor, config: dict[str, Any]) -> list[Tensor]:
    """Queries, keys and values of one matrix."""
    groups, head, width = config["num_key_value_heads"], config["head_dim"], weight.shape[1]
    queries = config["num_attention_heads"] // groups * head
    by_group = weight.view(groups, -1, width).split([queries, head, head], dim=1)
    return [rows.reshape(-1, width) for rows in by_group]
