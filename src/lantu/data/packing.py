"""Documents in rows of ids: one each, or several in a row, none of which attends to another.

Shapes: R rows, N ids a row, B batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lantu.errors import DataError

PADDING = -1  # segment of padding
PADDED = 2  # a batch of more than so many times the ids of its documents is packed


class Packed(NamedTuple):
    """Rows of documents, all (R, N) int64.

    Attributes:
        ids: padded on the right.
        positions: from 0 in each document; 0 in the padding.
        segments: which of the documents that were packed an id belongs to; -1 for padding.
    """

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray


def pack(documents: Sequence[np.ndarray | Sequence[int]], length: int, pad: int = 0) -> Packed:
    """Lay documents into as few rows as first fit finds, the longest first.

    Args:
        documents: ids of each.
        length: N.
        pad: the id that fills up rows.

    Raises:
        DataError: a document is longer than a row.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for number in sorted(range(len(documents)), key=lambda number: -len(documents[number])):
        size = len(documents[number])
        if size > length:
            raise DataError(f"a document of {size} ids is longer than a row of {length}", "make rows longer")
        row = next((row for row, room in enumerate(free) if room >= size), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(length)
        rows[row].append(number)
        free[row] -= size
    packed = Packed(*(np.full((len(rows), length), value, np.int64) for value in (pad, 0, PADDING)))
    for row, numbers in enumerate(rows):
        start = 0
        for number in numbers:
            stop = start + len(documents[number])
            packed.ids[row, start:stop] = documents[number]
            packed.positions[row, start:stop] = np.arange(stop - start)
            packed.segments[row, start:stop] = number
            start = stop
    return packed


def one_each(documents: Sequence[np.ndarray], pad: int) -> Packed:
    """Rows of one document each, as long as the longest."""
    length = max(map(len, documents))
    rows = Packed(*(np.full((len(documents), length), value, np.int64) for value in (pad, 0, PADDING)))
    rows.positions[:] = np.arange(length)
    for row, document in enumerate(documents):
        rows.ids[row, : len(document)] = document
        rows.segments[row, : len(document)] = row
    return rows


def apart(documents: Sequence[np.ndarray], pad: int) -> Packed:
    """Rows of one document each, unless they would be mostly padding; then short documents share rows."""
    longest = max(map(len, documents))
    mostly_padding = PADDED * sum(map(len, documents)) < longest * len(documents)
    return pack(documents, longest, pad) if mostly_padding else one_each(documents, pad)


def cuts(lengths: Sequence[int], groups: int) -> list[int]:
    """Where to divide ascending lengths into groups, each padded to its longest, for the least padding.

    Returns:
        the edges: from 0 to the number of lengths.
    """
    count = len(lengths)
    # (groups, lengths) → the least padded total of the first so many lengths, and where their last group begins.
    best = {(0, 0): (0, 0)}
    for group in range(1, min(groups, count) + 1):
        for stop in range(group, count + 1):
            best[group, stop] = min(
                (best[group - 1, start][0] + (stop - start) * lengths[stop - 1], start)
                for start in range(group - 1, stop)
                if (group - 1, start) in best
            )
    edges = [count]
    for group in range(min(groups, count), 0, -1):
        edges.append(best[group, edges[-1]][1])
    return edges[::-1]


def block_causal_mask(segments_BN: Tensor) -> Tensor:
    """(B, 1, N, N) bool, True where a query may see a key: earlier or the same, and of the same document.

    Padding sees the padding before it, so that no row of the softmax is empty.
    """
    same_B1NN = segments_BN[:, None, :, None] == segments_BN[:, None, None, :]
    length = segments_BN.shape[1]
    return same_B1NN & torch.ones(length, length, dtype=torch.bool, device=segments_BN.device).tril()
