"""A language model's directory on the kernels: no torch, one batch for rows of any lengths, shared prefixes.

Tests compare its logits with those of transformers.
Shapes: T new tokens of all rows, P positions, D width, K head width, V ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lantu import kernels
from lantu.engine.backends.protocol import Draw, IdTable, by_ranges, check_axes, check_ids, split
from lantu.engine.request import Embeddings, Prompt, Ranges, id_at
from lantu.kernels import Choice, Layer, Linear, Segment, Shape, to_bfloat16, to_float
from lantu.weights import arrays, language_tensors, manifest
from lantu.weights.architecture import Sizes
from lantu.weights.language_tensors import EMBEDDING, HEAD, NORM
from lantu.weights.rotary import AXES

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
            sizes.activation,
        )
        self.stack = kernels.stack(shape, layers(state, sizes), precise)
        self.rotation_2PK = sizes.rotary.table(512)
        self.axes_K = sizes.rotary.axes

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

    def read(
        self,
        rows: Sequence[CachedSequence],
        ids: Sequence[Prompt],
        positions: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        check_axes(positions, self.axes_K is not None)
        starts = [(row.length, len(each)) for row, each in zip(rows, ids, strict=True)]
        places = [np.arange(start, start + count) for start, count in starts]
        if positions is not None:  # of three axes; counted ones are the same on each
            counted = [np.repeat(each[:, None], AXES, 1) for each in places]
            places = [one if own is None else own for one, own in zip(counted, positions, strict=True)]
        spans = [
            Segment(row.cache, len(each), row.prefix.cache if row.prefix else None)
            for row, each in zip(rows, ids, strict=True)
        ]
        x_TD = self.stack.forward(self.embed_all(ids), self.rotation(np.concatenate(places)), spans)
        ends = np.cumsum([len(each) for each in ids])
        for row, each, end in zip(rows, ids, ends, strict=True):
            row.hidden = x_TD[end - len(each) : end]

    def rotation(self, places: np.ndarray) -> np.ndarray:
        """(2, T, K/2): the rotary angles of ids at places (T), or at positions (T, 3)."""
        if places.max() >= self.rotation_2PK.shape[1]:
            self.rotation_2PK = self.sizes.rotary.table(2 * int(places.max()))
        if places.ndim == 1:
            return self.rotation_2PK[:, places]
        assert self.axes_K is not None
        return self.rotation_2PK[:, places[:, self.axes_K], np.arange(len(self.axes_K))]

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
        ids, groups = by_ranges(draws)
        for ranges, places in groups.items():
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
        self.embedding_VD = state[EMBEDDING]
        self.head_VD = self.embedding_VD if sizes.tied else state[HEAD]
        self.norm_D, self.eps, self.precise = norm(state[NORM], sizes), sizes.eps, precise
        scale = np.float32(sizes.width**0.5 if sizes.architecture.scaled else 1)
        self.scale = scale if precise else to_float(to_bfloat16(scale))  # as transformers rounds it
        self.size = len(self.embedding_VD)
        self.heads_kept: dict[Ranges, Linear] = {}

    def embed(self, ids_T: np.ndarray) -> np.ndarray:
        x_TD = to_float(self.embedding_VD[ids_T])
        return x_TD if self.scale == 1 else x_TD * self.scale

    def logits(self, hidden_RD: np.ndarray, ranges: Ranges) -> np.ndarray:
        """Final norm and head. The heads for a few ``ranges`` are cached, because a draft needs them many times."""
        return self.head(ranges)(hidden_RD)

    def head(self, ranges: Ranges) -> Linear:
        """The head for the ids in ``ranges``; those used last are kept. Raises IndexError for ids that it lacks."""
        if (kept := self.heads_kept.pop(ranges, None)) is None:
            check_ids(ranges, len(self.head_VD))
            if len(self.heads_kept) == HEADS_KEPT:
                self.heads_kept.pop(next(iter(self.heads_kept)))
            parts = [self.head_VD[allowed.start : allowed.stop] for allowed in ranges]
            weight = parts[0] if len(parts) == 1 else np.concatenate(parts)
            kept = kernels.linear(weight, norm=self.norm_D, eps=self.eps, precise=self.precise)
            arrays.release(self.head_VD)
        self.heads_kept[ranges] = kept
        return kept


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


def layers(state: Mapping[str, np.ndarray], sizes: Sizes) -> Iterator[Layer]:
    """The layers' weights, one after another; the pages of a layer are given back to the system after its turn."""
    for number in range(sizes.layers):
        weights = language_tensors.layer(state, number, sizes)
        for name in weights:
            if name.endswith("norm") and weights[name] is not None:
                weights[name] = norm(weights[name], sizes)
        yield Layer(**weights)
        arrays.release(*weights.values())


def norm(weight: np.ndarray, sizes: Sizes) -> np.ndarray:
    """The factors of a norm."""
    return 1 + to_float(weight) if sizes.architecture.offset else weight
