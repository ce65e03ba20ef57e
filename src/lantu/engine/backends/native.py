"""A Qwen3 or Llama directory on the kernels: no torch, one batch for rows of any lengths, shared prefixes.

Tests compare its logits with those of transformers.
Shapes: T new tokens of all rows, D width, K head width, V ids.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lantu import kernels
from lantu.engine.backends.protocol import Draw, IdTable, by_ranges, split
from lantu.engine.request import Embeddings, Prompt, Ranges, id_at
from lantu.kernels import Choice, Layer, Linear, Segment, Shape, to_float
from lantu.weights import manifest
from lantu.weights.architecture import Sizes

HEADS_KEPT = 8  # sliced heads in the cache


class CachedSequence:
    """A row: its shared prefix, its own KV cache, and the hidden states (n, D) of the ids of its last pass."""

    __slots__ = ("cache", "hidden", "prefix")

    def __init__(self, cache: kernels.Cache, prefix: "CachedSequence | None"):
        self.cache, self.prefix = cache, prefix
        self.hidden: Any = prefix.hidden[-1:] if prefix else None  # None before the first pass

    @property
    def length(self) -> int:
        return self.cache.used + (self.prefix.length if self.prefix else 0)


class Language:
    """A causal language model: see ``protocol.Backend``.

    Args:
        config: the directory's config.json.
        state: its weights, by transformers' names; bfloat16 as uint16.
        precise: compute in float32 instead of bfloat16 with sums in float32.

    Attributes:
        text: the table of the directory's own ids.

    Raises:
        ModelError: the architecture is not supported, or the weights are not those that the config describes.
    """

    tokens_per_pass = 8  # on two cores: with 4 rows draft tokens no longer pay (docs/log.md)

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, np.ndarray], precise: bool = False):
        manifest.check("language", config, state)
        self.exact = kernels.exact()
        self.sizes = sizes = Sizes.of(config)
        layers = [layer(state, number, sizes.normed) for number in range(sizes.layers)]
        self.text = TextTable(state, sizes, precise)
        self.tables: list[IdTable] = [self.text]
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
        self.rotation_2LK = sizes.rotation(512)

    @classmethod
    def load(cls, folder: str | Path, precise: bool | None = None) -> "Language":
        """Read a transformers directory.

        Args:
            precise: compute in float32; None for what the weights are stored in.

        Raises:
            ModelError: it is missing, damaged, or of another architecture.
        """
        config, state = manifest.read_arrays("language", folder)
        return cls(config, state, stored_precise(state) if precise is None else precise)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return sum(table.size for table in self.tables)

    def add(self, table: IdTable) -> None:
        """Append ids after the existing ones, with their own embedding and head."""
        self.tables.append(table)

    def open(self, capacity: int, prefix: CachedSequence | None = None) -> CachedSequence:
        return CachedSequence(self.stack.cache(max(1, capacity)), prefix)

    def close(self, row: CachedSequence) -> None:
        """Nothing to do: the memory is freed with the object."""

    def rewind(self, row: CachedSequence, length: int) -> None:
        row.cache.used = length - (row.prefix.length if row.prefix else 0)

    def read(self, rows: Sequence[CachedSequence], ids: Sequence[Prompt]) -> None:
        places_T = np.concatenate(
            [np.arange(row.length, row.length + len(each)) for row, each in zip(rows, ids, strict=True)]
        )
        if places_T.max() >= self.rotation_2LK.shape[1]:
            self.rotation_2LK = self.sizes.rotation(2 * int(places_T.max()))
        spans = [
            Segment(row.cache, len(each), row.prefix.cache if row.prefix else None)
            for row, each in zip(rows, ids, strict=True)
        ]
        x_TD = self.stack.forward(self.embed_all(ids), self.rotation_2LK[:, places_T], spans)
        ends = np.cumsum([len(each) for each in ids])
        for row, each, end in zip(rows, ids, ends, strict=True):
            row.hidden = x_TD[end - len(each) : end]

    def embed_all(self, prompts: Sequence[Prompt]) -> np.ndarray:
        """(T, D) float32: the input embeddings of several prompts, concatenated."""
        ids = [each for each in prompts if not isinstance(each, Embeddings)]
        if len(ids) == len(prompts):
            return self.embed(np.fromiter((id_ for each in ids for id_ in each), np.int64))
        parts = [each.vectors_ND if isinstance(each, Embeddings) else self.vectors(each) for each in prompts]
        return np.concatenate(parts)

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """The input embeddings of ids, (N, D) float32, to compose a prompt of embeddings from."""
        return self.embed(np.asarray(ids, np.int64))

    def embed(self, ids_T: np.ndarray) -> np.ndarray:
        """The input embeddings of ids, (T, D) float32."""
        if len(self.tables) == 1:
            return self.text.embed(ids_T)
        x_TD = np.zeros((len(ids_T), self.sizes.width), np.float32)
        first = 0
        for table in self.tables:
            inside = (first <= ids_T) & (ids_T < first + table.size)
            if inside.any():
                x_TD[inside] = table.embed(ids_T[inside] - first)
            first += table.size
        return x_TD

    def logits(self, rows: Sequence[CachedSequence], ranges: Ranges, backs: Sequence[int] = ()) -> np.ndarray:
        """Logits (rows, ids in ranges) float32; only of these ids, because the head is the widest layer.

        Args:
            backs: for each row, see ``Draw.back``; 0 by default.
        """
        backs = backs or [0] * len(rows)
        hidden_RD = np.stack([row.hidden[-1 - back] for row, back in zip(rows, backs, strict=True)])
        return self.head(hidden_RD, ranges)

    def head(self, hidden_RD: np.ndarray, ranges: Ranges) -> np.ndarray:
        """Hidden states after the last layer → logits (R, ids in ranges) float32, each by its table's head."""
        runs = split(ranges, [table.size for table in self.tables])
        parts = [self.tables[number].logits(hidden_RD, inside) for number, inside in runs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, -1)

    def choose(self, draws: Sequence[Draw]) -> list[int]:
        ids = [0] * len(draws)
        for ranges, places in by_ranges(draws).items():
            asked: dict[
                tuple[int, int], tuple[CachedSequence, int]
            ] = {}  # by identity: logits that several draws need are computed once
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


class TextTable:
    """The embedding of a transformers directory, and its head: see ``protocol.IdTable``."""

    def __init__(self, state: Mapping[str, np.ndarray], sizes: Sizes, precise: bool):
        self.embedding_VD = state["model.embed_tokens.weight"]
        self.head_VD = self.embedding_VD if sizes.tied else state["lm_head.weight"]
        self.norm_D, self.eps, self.precise = state["model.norm.weight"], sizes.eps, precise
        self.size = len(self.embedding_VD)
        self.heads_kept: dict[Ranges, Linear] = {}

    def embed(self, ids_T: np.ndarray) -> np.ndarray:
        return to_float(self.embedding_VD[ids_T])

    def logits(self, hidden_RD: np.ndarray, ranges: Ranges) -> np.ndarray:
        """Final norm and head. The heads for a few ``ranges`` are cached, because a draft needs them many times."""
        if ranges not in self.heads_kept:
            if len(self.heads_kept) == HEADS_KEPT:
                self.heads_kept.pop(next(iter(self.heads_kept)))
            weight = np.concatenate([self.head_VD[allowed.start : allowed.stop] for allowed in ranges])
            self.heads_kept[ranges] = kernels.linear(weight, norm=self.norm_D, eps=self.eps, precise=self.precise)
        return self.heads_kept[ranges](hidden_RD)


def stored_precise(state: Mapping[str, np.ndarray]) -> bool:
    """Whether any matrix is stored in more than bfloat16; then all are computed in float32, so that no rounding breaks
    ties differently."""
    return any(value.ndim > 1 and value.dtype != np.uint16 for value in state.values())


def choice(draw: Draw, order: Mapping[tuple[int, int], int]) -> Choice:
    """How the kernels choose the id of a draw."""
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
