"""A language model's directory on torch: for GPUs, and to check the kernels by.

It computes what transformers computes; the tests hold it to that. All rows lie in one block of memory with a slot each,
and a step computes the slots in use at once. A prefix leaves its slot when the first row is opened after it: a slot has
room for the longest row, and prefixes that no row uses may be many.

Shapes: S slots, N new ids, P places of a slot, D width, A heads, G heads of keys and values, K head width, V ids.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lantu.engine.backends import sampling, torch_blocks
from lantu.engine.backends.cuda_graphs import StepGraphs, recorder
from lantu.engine.backends.protocol import Draw, IdTable, check_axes, check_ids, split
from lantu.engine.request import Embeddings, Prompt, Ranges
from lantu.weights import language_tensors, manifest, tensors
from lantu.weights.architecture import Sizes
from lantu.weights.language_tensors import EMBEDDING, HEAD, NORM
from lantu.weights.rotary import AXES

HEADS_KEPT = 8


class CachedSequence:
    """A sequence in its slot, the prefix copied to its beginning; or a prefix outside the slots.

    Attributes:
        aside: keys and values of a prefix outside the slots, (L, 2, G, n, K); None in a slot.
        hidden: (n, D) after the ids of its last read; None before anything was read.
        positions: (n, 3) of the ids that it reads now; None counts on from its length.
    """

    __slots__ = ("aside", "capacity", "hidden", "length", "positions", "slot")

    def __init__(self, slot: int, capacity: int, length: int, hidden: Any):
        self.slot, self.capacity, self.length = slot, capacity, length
        self.positions: Any = None
        self.hidden = hidden
        self.aside: Tensor | None = None


class Language:
    """A causal language model: see ``protocol.Backend``.

    Args:
        config: the directory's config.json.
        state: its weights, by transformers' names.
        dtype: to compute in.

    Attributes:
        text: the table of the directory's own ids.

    Raises:
        ModelError: the architecture is another, or the weights are not those that the config asks for.
    """

    exact = False
    tokens_per_pass = 64

    def __init__(
        self,
        config: Mapping[str, Any],
        state: Mapping[str, Tensor],
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ):
        manifest.check("language", config, state)
        self.sizes, self.dtype, self.device = Sizes.of(config), dtype, torch.device(device)
        self.place(state)
        self.tables: list[IdTable] = [self.text]
        self.rotation_2PK = self.rotation(1)
        self.free: list[int] = []
        sizes = self.sizes
        self.memory = self.zeros(sizes.layers, 2, 0, sizes.key_value_heads, 0, sizes.head_width)
        record = recorder(self.device)
        self.graphs = StepGraphs(self.blocks, record) if record else None

    @classmethod
    def load(
        cls, folder: str | Path, dtype: torch.dtype | None = torch.float32, device: str | torch.device = "cpu"
    ) -> "Language":
        """Read a transformers directory.

        Args:
            dtype: to compute in; None for what the weights are stored in.

        Raises:
            ModelError: it is missing, damaged, or of another architecture.
        """
        config, state = manifest.read("language", folder), tensors.load(folder)
        return cls(config, state, dtype or stored_dtype(state), device)

    def zeros(self, *shape: int) -> Tensor:
        """A tensor of zeros on the device, of the dtype that it computes in."""
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def place(self, state: Mapping[str, Tensor]) -> None:
        """Bring the weights to their device and join those that share an input."""
        sizes = self.sizes

        def take(weight: Tensor) -> Tensor:
            return weight.to(self.device, self.dtype)

        def norm(weight: Tensor) -> Tensor:
            return take(1 + weight.float() if sizes.architecture.offset else weight)

        def projection(*weights: Tensor) -> Tensor:
            return torch.cat([take(each) for each in weights]).t().contiguous()

        def layer(number: int) -> torch_blocks.Layer:
            of = language_tensors.layer(state, number, sizes)
            bias = [of[f"{name}_bias"] for name in ("query", "key", "value")] if sizes.biased else []
            both = None
            if of["query_norm"] is not None:
                query = take(of["query_norm"]).expand(sizes.heads, -1)
                both = torch.cat([query, take(of["key_norm"]).expand(sizes.key_value_heads, -1)])
            return torch_blocks.Layer(
                norm(of["attention_norm"]),
                projection(of["query"], of["key"], of["value"]),
                torch.cat([take(each) for each in bias]) if bias else None,
                both,
                projection(of["out"]),
                norm(of["attention_post_norm"]) if sizes.architecture.post_norms else None,
                norm(of["feed_forward_norm"]),
                projection(of["gate"], of["up"]),
                projection(of["down"]),
                norm(of["feed_forward_post_norm"]) if sizes.architecture.post_norms else None,
            )

        embedding_VD = take(state[EMBEDDING])
        self.layers = [layer(number) for number in range(sizes.layers)]
        self.norm_D = norm(state[NORM])
        scale = sizes.width**0.5 if sizes.architecture.scaled else 1
        self.text = TextTable(embedding_VD, embedding_VD if sizes.tied else take(state[HEAD]), scale)

    def rotation(self, length: int) -> Tensor:
        """(2, P, K): cosine and signed sine of the rotary angles of the first positions."""
        cosine, sine = torch.from_numpy(self.sizes.rotary.table(length))
        both = torch.stack([torch.cat([cosine, cosine], -1), torch.cat([-sine, sine], -1)])
        return both.to(self.device, self.dtype)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return sum(table.size for table in self.tables)

    def add(self, table: IdTable) -> None:
        """More ids behind the others, with an embedding and a head of their own, on the same device."""
        self.tables.append(table)

    def open(self, capacity: int, prefix: CachedSequence | None = None) -> CachedSequence:
        length = prefix.length if prefix else 0
        aside = self.set_aside(prefix) if prefix else None
        slots, places = self.memory.shape[2], self.memory.shape[4]
        needed = length + capacity
        if needed > places:  # more places in every slot
            places = max(needed, 2 * places)
            self.memory = F.pad(self.memory, (0, 0, 0, places - self.memory.shape[4]))
            self.rotation_2PK = self.rotation(places)
        if not self.free:  # more slots
            more = max(2, slots)
            self.memory = F.pad(self.memory, (0, 0, 0, 0, 0, 0, 0, more))
            self.free = list(range(slots + more - 1, slots - 1, -1))
        self.free.sort(reverse=True)  # the lowest first: a step computes all up to the highest in use
        row = CachedSequence(self.free.pop(), needed, length, prefix.hidden if prefix else None)
        if aside is not None:
            self.memory[:, :, row.slot, :, :length] = aside
        return row

    def set_aside(self, prefix: CachedSequence) -> Tensor:
        """A prefix's keys and values, which rows after it copy; with its last hidden state they are all that it keeps.

        The first time it leaves its slot.
        """
        if prefix.aside is None:
            prefix.aside = self.memory[:, :, prefix.slot, :, : prefix.length].clone()
            prefix.hidden = prefix.hidden[-1:].clone()
            self.free.append(prefix.slot)
        return prefix.aside

    def close(self, row: CachedSequence) -> None:
        if row.aside is None:
            self.free.append(row.slot)

    def rewind(self, row: CachedSequence, length: int) -> None:
        row.length = length

    @torch.inference_mode()
    def read(
        self,
        rows: Sequence[CachedSequence],
        ids: Sequence[Prompt],
        positions: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        """One batch for all rows that read the same number of ids."""
        check_axes(positions, bool(self.sizes.rotary.sections))
        for row, own in zip(rows, positions or [None] * len(rows), strict=True):
            if row.aside is not None:
                raise ValueError("a prefix is read no further once a row was opened after it")
            row.positions = own
        by_count: dict[int, list[tuple[CachedSequence, Prompt]]] = {}
        for row, each in zip(rows, ids, strict=True):
            if row.length + len(each) > row.capacity:
                raise ValueError(f"{row.length} + {len(each)} ids in a row of {row.capacity}")
            by_count.setdefault(len(each), []).append((row, each))
        for count, group in by_count.items():
            taken = [row.slot for row, _ in group]
            # Steps of one id take all slots, always in one shape; longer reads the slots that they span.
            first, last = 0 if count == 1 else min(taken), max(taken) + 1
            x_SND = self.zeros(last - first, count, self.sizes.width)
            x_SND[[slot - first for slot in taken]] = self.embed_all([each for _, each in group])
            all_rows: list[CachedSequence | None] = [None] * (last - first)
            for row, _ in group:
                all_rows[row.slot - first] = row
            hidden_SND = self.forward(all_rows, x_SND, slice(first, last))
            for row, each in group:
                row.hidden = hidden_SND[row.slot - first]
                row.length += len(each)

    def embed_all(self, prompts: Sequence[Prompt]) -> Tensor:
        """(B, N, D): the vectors of prompts of one length."""
        ids = [list(each) for each in prompts if not isinstance(each, Embeddings)]
        if len(ids) == len(prompts):
            return self.embed(torch.tensor(ids, device=self.device))
        parts = [each.vectors_ND if isinstance(each, Embeddings) else self.vectors(each) for each in prompts]
        return torch.from_numpy(np.stack(parts)).to(self.device, self.dtype)

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """The input embeddings of ids, (N, D) float32, to compose a prompt of embeddings from."""
        return self.embed(torch.tensor(list(ids), device=self.device)).float().cpu().numpy()

    def embed(self, ids: Tensor) -> Tensor:
        """The input embeddings of ids, (…, D)."""
        if len(self.tables) == 1:
            return self.text.embed(ids)
        x_TD = self.zeros(ids.numel(), self.sizes.width)
        ids_T, first = ids.flatten(), 0
        for table in self.tables:
            inside = (first <= ids_T) & (ids_T < first + table.size)
            if inside.any():
                x_TD[inside] = table.embed(ids_T[inside] - first)
            first += table.size
        return x_TD.unflatten(0, ids.shape)

    def forward(self, rows: Sequence[CachedSequence | None], x_SND: Tensor, slots: slice) -> Tensor:
        """(S, N, D): the normalised hidden states after N new ids in each slot; of no meaning without a row.

        Args:
            x_SND: the new ids' vectors.
        """
        new = x_SND.shape[1]
        lengths = [row.length if row else 0 for row in rows]
        starts_S = torch.tensor(lengths, device=self.device)
        used_S = torch.tensor([row is not None for row in rows], device=self.device)
        turns = self.angles(rows, starts_S[:, None] + torch.arange(new, device=self.device))
        seen, inputs = max(lengths) + new, (x_SND, starts_S, used_S, turns)
        if self.graphs and new == 1:
            return self.graphs.step(inputs, self.memory, seen)
        return self.blocks(*inputs, self.memory[:, :, slots], seen)

    def blocks(self, *step: Any) -> Tensor:
        """All layers and the final norm: see ``torch_blocks.forward``."""
        x_SND = torch_blocks.forward(self.layers, self.sizes, *step)
        return F.rms_norm(x_SND, x_SND.shape[-1:], self.norm_D, self.sizes.eps)

    def angles(self, rows: Sequence[CachedSequence | None], places_SN: Tensor) -> Tensor:
        """(2, S, N, 1, K): cosine and signed sine of ids at places, or at the positions that their rows read."""
        if not any(row is not None and row.positions is not None for row in rows):
            return self.rotation_2PK[:, places_SN, None]
        places_SN3 = places_SN[..., None].repeat(1, 1, AXES)
        for slot, row in enumerate(rows):
            if row is not None and row.positions is not None:
                places_SN3[slot] = torch.from_numpy(row.positions)
        if (last := int(places_SN3.max())) >= self.rotation_2PK.shape[1]:
            self.rotation_2PK = self.rotation(2 * last)
        assert self.sizes.rotary.axes is not None
        axes_K = torch.from_numpy(np.tile(self.sizes.rotary.axes, 2)).to(self.device)
        return self.rotation_2PK[:, places_SN3[..., axes_K], torch.arange(len(axes_K), device=self.device)][
            ..., None, :
        ]

    def logits(self, rows: Sequence[CachedSequence], ranges: Ranges, backs: Sequence[int] = ()) -> Tensor:
        """(rows, ids in ranges) float32: of those ids and of no others, for the head is the widest layer.

        Args:
            backs: for each row, see ``Draw.back``; 0 by default.
        """
        backs = backs or [0] * len(rows)
        hidden = torch.stack([row.hidden[-1 - back] for row, back in zip(rows, backs, strict=True)])
        return self.head(hidden, ranges)

    def head(self, hidden_RD: Tensor, ranges: Ranges) -> Tensor:
        """Normalised hidden states → logits (R, ids in ranges) float32, each by its table's head."""
        runs = split(ranges, [table.size for table in self.tables])
        parts = [self.tables[number].logits(hidden_RD, inside) for number, inside in runs]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    @torch.inference_mode()
    def choose(self, draws: Sequence[Draw]) -> list[int]:
        return sampling.choose(self.logits, draws)


class TextTable:
    """The embedding of a transformers directory, and its head: see ``protocol.IdTable``."""

    def __init__(self, embedding_VD: Tensor, head_VD: Tensor, scale: float = 1):
        self.embedding_VD, self.head_VD = embedding_VD, head_VD
        self.scale = torch.tensor(scale, dtype=embedding_VD.dtype).item()  # as transformers rounds it
        self.size = len(embedding_VD)
        self.heads_kept: dict[Ranges, Tensor] = {}

    def embed(self, ids_T: Tensor) -> Tensor:
        x_TD = F.embedding(ids_T, self.embedding_VD)
        return x_TD if self.scale == 1 else x_TD * self.scale

    def logits(self, hidden_RD: Tensor, ranges: Ranges) -> Tensor:
        return (hidden_RD @ self.weight(ranges)).float()

    def weight(self, ranges: Ranges) -> Tensor:
        """(D, ids in ranges) of the head; those used last are kept. Raises IndexError for ids that it lacks."""
        if (kept := self.heads_kept.pop(ranges, None)) is None:
            check_ids(ranges, len(self.head_VD))
            if len(self.heads_kept) == HEADS_KEPT:
                self.heads_kept.pop(next(iter(self.heads_kept)))
            parts = [self.head_VD[allowed.start : allowed.stop] for allowed in ranges]
            kept = torch.cat(parts).t().contiguous()
        self.heads_kept[ranges] = kept
        return kept


def stored_dtype(state: Mapping[str, Tensor]) -> torch.dtype:
    """The dtype in which most of the weights are stored."""
    matrices = [value for value in state.values() if value.ndim > 1]
    return max(matrices, key=Tensor.numel).dtype if matrices else torch.float32
