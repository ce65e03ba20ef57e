"""A Qwen3 or Llama directory on the kernels: no torch, rows of any lengths together, prefixes shared.

It computes what transformers computes; the tests hold it to that.
Shapes: T new tokens of all rows, D width, K head width, V ids.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lantu import kernels
from lantu.engine.backends.protocol import Draw, by_ranges
from lantu.engine.request import Ranges, id_at
from lantu.kernels import Choice, Layer, Linear, Segment, Shape, to_float
from lantu.weights import manifest
from lantu.weights.architecture import Sizes

HEADS_KEPT = 8


class CachedSequence:
    """A sequence: what it shares, what it has read itself, and the hidden states (n, D) after its last read's ids."""

    __slots__ = ("cache", "hidden", "prefix")

    def __init__(self, cache: kernels.Cache, prefix: "CachedSequence | None"):
        self.cache, self.prefix = cache, prefix
        self.hidden: Any = prefix.hidden[-1:] if prefix else None  # None before anything was read

    @property
    def length(self) -> int:
        return self.cache.used + (self.prefix.length if self.prefix else 0)


class Language:
    """A causal language model that only reads: see ``backend.Backend``.

    Args:
        config: the directory's config.json.
        state: its weights, by transformers' names; bfloat16 as uint16.
        precise: compute in float32 instead of bfloat16 with sums in float32.

    Raises:
        ModelError: the architecture is another, or the weights are not those that the config asks for.
    """

    at_once = 8  # two cores: with 4 rows guesses no longer pay (docs/log.md)

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, np.ndarray], precise: bool = False):
        manifest.check("language", config, state)
        self.precise = precise
        self.exact = kernels.exact()
        self.sizes = sizes = Sizes.of(config)
        layers = [layer(state, number, sizes.normed) for number in range(sizes.layers)]
        self.embedding_VD = state["model.embed_tokens.weight"]
        self.norm_D = state["model.norm.weight"]
        self.head_VD = self.embedding_VD if sizes.tied else state["lm_head.weight"]
        shape = Shape(
            sizes.layers,
            sizes.width,
            sizes.heads,
            sizes.key_value_heads,
            sizes.head_width,
            sizes.inner,
            sizes.eps,
        )
        self.stack = kernels.stack(shape, layers, precise)
        self.vocabulary_size = len(self.embedding_VD)
        self.rotation_2LK = sizes.rotation(512)
        self.heads_kept: dict[Ranges, Linear] = {}

    @classmethod
    def load(cls, folder: str | Path, precise: bool = False) -> "Language":
        """Read a transformers directory.

        Raises:
            ModelError: it is missing, damaged, or of another architecture.
        """
        return cls(*manifest.read_arrays("language", folder), precise)

    def open(self, capacity: int, prefix: CachedSequence | None = None) -> CachedSequence:
        return CachedSequence(self.stack.cache(max(1, capacity)), prefix)

    def close(self, row: CachedSequence) -> None:
        """Nothing to do: its memory goes with it."""

    def rewind(self, row: CachedSequence, length: int) -> None:
        row.cache.used = length - (row.prefix.length if row.prefix else 0)

    def read(self, rows: Sequence[CachedSequence], ids: Sequence[Sequence[int]]) -> None:
        flat_T = np.fromiter((id_ for each in ids for id_ in each), np.int64)
        places_T = np.concatenate(
            [np.arange(row.length, row.length + len(each)) for row, each in zip(rows, ids, strict=True)]
        )
        if places_T.max() >= self.rotation_2LK.shape[1]:
            self.rotation_2LK = self.sizes.rotation(2 * int(places_T.max()))
        spans = [
            Segment(row.cache, len(each), row.prefix.cache if row.prefix else None)
            for row, each in zip(rows, ids, strict=True)
        ]
        x_TD = to_float(self.embedding_VD[flat_T])
        x_TD = self.stack.forward(x_TD, self.rotation_2LK[:, places_T], spans)
        ends = np.cumsum([len(each) for each in ids])
        for row, each, end in zip(rows, ids, ends, strict=True):
            row.hidden = x_TD[end - len(each) : end]

    def logits(self, rows: Sequence[CachedSequence], ranges: Ranges, backs: Sequence[int] = ()) -> np.ndarray:
        """(rows, ids in ranges) float32: of those ids and of no others, for the head is the widest layer.

        Args:
            backs: of each row, how many ids of its last read are not to be known yet; none if not given.
        """
        backs = backs or [0] * len(rows)
        return self.head(ranges)(np.stack([row.hidden[-1 - back] for row, back in zip(rows, backs, strict=True)]))

    def choose(self, draws: Sequence[Draw]) -> list[int]:
        ids = [0] * len(draws)
        for ranges, places in by_ranges(draws).items():
            asked: dict[tuple[int, int], tuple[CachedSequence, int]] = {}  # by identity: each place's logits once
            for draw in (draws[place] for place in places):
                for row in (draw.row, draw.unconditional):
                    if row is not None:
                        asked.setdefault((id(row), draw.back), (row, draw.back))
            order = {key: number for number, key in enumerate(asked)}
            choices = [choice(draws[place], order) for place in places]
            rows, backs = zip(*asked.values(), strict=True)
            logits = self.logits(rows, ranges, backs)
            manifest.check_finite("language", logits)
            for place in places:
                if draws[place].bias is not None:
                    logits[order[id(draws[place].row), draws[place].back]] += draws[place].bias
            columns = kernels.choose(logits, choices)
            for place, column in zip(places, columns, strict=True):
                ids[place] = id_at(ranges, column)
        return ids

    def head(self, ranges: Ranges) -> Linear:
        """Final norm and head for the ids in ``ranges``; kept, for a draft asks for few different ones, many times."""
        if ranges not in self.heads_kept:
            if len(self.heads_kept) == HEADS_KEPT:
                self.heads_kept.pop(next(iter(self.heads_kept)))
            weight = np.concatenate([self.head_VD[allowed.start : allowed.stop] for allowed in ranges])
            self.heads_kept[ranges] = kernels.linear(weight, norm=self.norm_D, eps=self.sizes.eps, precise=self.precise)
        return self.heads_kept[ranges]


def choice(draw: Draw, order: Mapping[tuple[int, int], int]) -> Choice:
    return Choice(
        order[id(draw.row), draw.back],
        -1 if draw.unconditional is None else order[id(draw.unconditional), draw.back],
        draw.guidance,
        draw.temperature,
        draw.top_k,
        draw.top_p,
        draw.uniform,
        draw.contrast,
    )


def layer(state: Mapping[str, np.ndarray], number: int, normed: bool) -> Layer:
    """The weights of one layer, by transformers' names."""
    prefix = f"model.layers.{number}"
    attention, feed_forward = f"{prefix}.self_attn", f"{prefix}.mlp"
    return Layer(
        attention_norm=state[f"{prefix}.input_layernorm.weight"],
        query_norm=state[f"{attention}.q_norm.weight"] if normed else None,
        key_norm=state[f"{attention}.k_norm.weight"] if normed else None,
        query=state[f"{attention}.q_proj.weight"],
        key=state[f"{attention}.k_proj.weight"],
        value=state[f"{attention}.v_proj.weight"],
        out=state[f"{attention}.o_proj.weight"],
        feed_forward_norm=state[f"{prefix}.post_attention_layernorm.weight"],
        gate=state[f"{feed_forward}.gate_proj.weight"],
        up=state[f"{feed_forward}.up_proj.weight"],
        down=state[f"{feed_forward}.down_proj.weight"],
    )
