"""The forward pass of a Qwen3 or Llama directory, for drafting: a static cache, few operations, and a light start.

It computes what transformers computes; the tests hold it to that. Importing transformers would cost seconds.

Shapes: R rows, N new ids, L slots of the cache, D width, A heads, G heads of keys and values, K head width, V ids.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lantu import weights
from lantu.errors import ModelError

HEADS_KEPT = 8


class Layer(NamedTuple):
    """The weights of one layer.

    Projections that share their input are one matrix. Each is (in, out), which a CPU reads twice as fast for few rows.
    """

    attention_norm_D: Tensor
    query_key_value: Tensor
    query_key_norm_HK: Tensor | None
    out: Tensor
    feed_forward_norm_D: Tensor
    gate_up: Tensor
    down: Tensor


@dataclass
class Cache:
    """Keys and values of what was read so far. Rows of unequal length are padded on the left.

    Attributes:
        keys_values: (layers, 2, R, G, L, K).
        mask: (R, 1, 1, L), -inf where a row's slot is padding and 0 elsewhere; None when no row is padded.
        used: slots filled, the same in every row.
    """

    keys_values: Tensor
    mask: Tensor | None
    used: int = 0

    def attention_mask(self, new: int) -> Tensor | None:
        """(R or 1, 1, new, used + new), added to the scores of ``new`` ids; None when each may see all there is."""
        last = self.used + new
        if new == 1:
            return None if self.mask is None else self.mask[..., :last]
        like = {"dtype": self.keys_values.dtype, "device": self.keys_values.device}
        causal = torch.full((new, last), -torch.inf, **like).triu(self.used + 1)[None, None]
        if self.mask is None:
            return causal
        # Padding sees itself: with nothing to see, its softmax would be NaN and spread.
        itself = torch.eye(new, device=like["device"], dtype=torch.bool)
        itself = F.pad(itself, (self.used, 0))
        return (causal + self.mask[..., :last]).masked_fill(itself, 0)


class Transformer:
    """A causal language model that only reads.

    Args:
        config: the directory's config.json.
        state: its weights, by transformers' names.
        dtype: to compute in.

    Raises:
        ModelError: the architecture is another, or weights or settings are missing.

    Attributes:
        vocabulary_size: V.
    """

    def __init__(
        self,
        config: dict[str, Any],
        state: dict[str, Tensor],
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ):
        check(config)
        self.dtype, self.device = dtype, torch.device(device)
        try:
            self.heads: int = config["num_attention_heads"]
            self.key_value_heads: int = config.get("num_key_value_heads") or self.heads
            self.head_width: int = config.get("head_dim") or config["hidden_size"] // self.heads
            self.eps: float = config["rms_norm_eps"]
            self.rope_base: float = (config.get("rope_parameters") or config)["rope_theta"]
            self.place(config, state)
        except KeyError as problem:
            raise ModelError(f"the language model lacks {problem}", "give a complete directory") from problem
        self.rotation_2LK = self.rotation(0)
        self.heads_kept: dict[tuple[range, ...], Tensor] = {}

    @classmethod
    def load(
        cls, folder: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
    ) -> "Transformer":
        """Read a transformers directory.

        Raises:
            ModelError: it is missing, damaged, or of another architecture.
        """
        try:
            config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise ModelError(f"no config.json can be read in {folder}", "give a complete model directory") from problem
        return cls(config, weights.load(folder), dtype, device)

    def place(self, config: dict[str, Any], state: dict[str, Tensor]) -> None:
        """Bring the weights to their device and join those that share an input."""

        def take(name: str) -> Tensor:
            return state[name].to(self.device, self.dtype)

        def projection(*names: str) -> Tensor:
            return torch.cat([take(f"{name}_proj.weight") for name in names]).t().contiguous()

        def layer(prefix: str) -> Layer:
            attention, feed_forward = f"{prefix}.self_attn", f"{prefix}.mlp"
            norm = None
            if config["model_type"] == "qwen3":
                query = take(f"{attention}.q_norm.weight").expand(self.heads, -1)
                key = take(f"{attention}.k_norm.weight").expand(self.key_value_heads, -1)
                norm = torch.cat([query, key])
            return Layer(
                take(f"{prefix}.input_layernorm.weight"),
                projection(*(f"{attention}.{name}" for name in "qkv")),
                norm,
                projection(f"{attention}.o"),
                take(f"{prefix}.post_attention_layernorm.weight"),
                projection(f"{feed_forward}.gate", f"{feed_forward}.up"),
                projection(f"{feed_forward}.down"),
            )

        self.embedding_VD = take("model.embed_tokens.weight")
        self.layers = [layer(f"model.layers.{number}") for number in range(config["num_hidden_layers"])]
        self.norm_D = take("model.norm.weight")
        tied = config.get("tie_word_embeddings", False)
        self.head_VD = self.embedding_VD if tied else take("lm_head.weight")
        self.vocabulary_size: int = len(self.embedding_VD)

    def rotation(self, length: int) -> Tensor:
        """(2, L, K): cosine and signed sine of the rotary angles (arXiv:2104.09864) of the first positions."""
        half = torch.arange(0, self.head_width, 2, device=self.device, dtype=torch.float32) / self.head_width
        angles = torch.arange(length, device=self.device, dtype=torch.float32)[:, None] * self.rope_base**-half
        cosine, sine = angles.cos(), angles.sin()
        return torch.stack([torch.cat([cosine, cosine], -1), torch.cat([-sine, sine], -1)]).to(self.dtype)

    def cache(self, lengths: Sequence[int], new: int) -> Cache:
        """Room for prefixes of these lengths, padded on the left to the longest, and ``new`` ids more."""
        longest = max(lengths)
        shape = (len(self.layers), 2, len(lengths), self.key_value_heads, longest + new, self.head_width)
        if self.rotation_2LK.shape[1] < longest + new:
            self.rotation_2LK = self.rotation(longest + new)
        mask = None
        if min(lengths) < longest:
            mask = torch.zeros(len(lengths), 1, 1, longest + new, dtype=self.dtype, device=self.device)
            for row, length in enumerate(lengths):
                mask[row, ..., : longest - length] = -torch.inf
        return Cache(torch.zeros(shape, dtype=self.dtype, device=self.device), mask)

    def __call__(self, ids_RN: Tensor, cache: Cache) -> Tensor:
        """Read N more ids in every row and enter them into the cache.

        A row's padding shifts its positions, which changes nothing: only their differences count.

        Returns:
            (R, N, D): the normalised hidden states, which ``logits`` takes.
        """
        new = ids_RN.shape[1]
        first, last = cache.used, cache.used + new
        mask = cache.attention_mask(new)
        cosine_N1K, sine_N1K = self.rotation_2LK[:, first:last, None]
        x_RND = F.embedding(ids_RN, self.embedding_VD)
        width = x_RND.shape[-1:]
        for layer, (keys_RGLK, values_RGLK) in zip(self.layers, cache.keys_values[..., :last, :], strict=True):
            inner = F.rms_norm(x_RND, width, layer.attention_norm_D, self.eps)
            heads_RNHK = (inner @ layer.query_key_value).unflatten(-1, (-1, self.head_width))
            turned_RNHK = heads_RNHK[:, :, : -self.key_value_heads]
            if layer.query_key_norm_HK is not None:
                turned_RNHK = F.rms_norm(turned_RNHK, (self.head_width,), None, self.eps) * layer.query_key_norm_HK
            swapped = turned_RNHK.roll(self.head_width // 2, -1)
            turned_RHNK = (turned_RNHK * cosine_N1K).addcmul_(swapped, sine_N1K).transpose(1, 2)
            keys_RGLK[:, :, first:] = turned_RHNK[:, self.heads :]
            values_RGLK[:, :, first:] = heads_RNHK[:, :, -self.key_value_heads :].transpose(1, 2)
            seen_RANK = F.scaled_dot_product_attention(
                turned_RHNK[:, : self.heads],
                keys_RGLK,
                values_RGLK,
                attn_mask=mask,
                enable_gqa=self.key_value_heads < self.heads,
            )
            x_RND = x_RND + seen_RANK.transpose(1, 2).flatten(2) @ layer.out
            inner = F.rms_norm(x_RND, width, layer.feed_forward_norm_D, self.eps)
            gate, up = (inner @ layer.gate_up).chunk(2, -1)
            x_RND = x_RND + (F.silu(gate) * up) @ layer.down
        cache.used = last
        return F.rms_norm(x_RND, width, self.norm_D, self.eps)

    def logits(self, hidden_RD: Tensor, ranges: tuple[range, ...]) -> Tensor:
        """Float32 logits of the ids in ``ranges`` and of no others: the head is the widest layer."""
        return (hidden_RD @ self.head(ranges)).float()

    def head(self, ranges: tuple[range, ...]) -> Tensor:
        """(D, ids in ranges); kept, for a draft asks for few different ones, hundreds of times."""
        if ranges not in self.heads_kept:
            if len(self.heads_kept) == HEADS_KEPT:
                self.heads_kept.clear()
            parts = [self.head_VD[allowed.start : allowed.stop] for allowed in ranges]
            self.heads_kept[ranges] = torch.cat(parts).t().contiguous()
        return self.heads_kept[ranges]


def check(config: dict[str, Any]) -> None:
    """Refuse what the forward pass does not compute.

    Raises:
        ModelError: the architecture is another.
    """
    unknown = [
        f"{name} {config.get(name)!r}"
        for name, known in {
            "model_type": ("qwen3", "llama"),
            "hidden_act": ("silu",),
            "attention_bias": (None, False),
            "mlp_bias": (None, False),
            "use_sliding_window": (None, False),
        }.items()
        if config.get(name) not in known
    ]
    rope = (config.get("rope_parameters") or {}).get("rope_type", "default")
    if rope != "default" or config.get("rope_scaling"):
        unknown.append(f"rope_type {rope!r}")
    if unknown:
        raise ModelError(f"no drafting with {', '.join(unknown)}", "give a plain Qwen3 or Llama directory")
