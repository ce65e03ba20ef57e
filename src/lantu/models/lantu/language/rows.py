"""The first values of the rows that a pretrained language model gets for lantu's special tokens and codes.

They begin near the mean of the rows that it has, which gives each new id little probability, so that the model goes on
writing what it wrote before (Hewitt, "Initializing new word embeddings for pretrained language models", 2021). What is
added to the mean is drawn as a random combination of the old rows, so that it varies as they vary: it has their
covariance, without a decomposition of a matrix.

Shapes: V ids, D width, R a sample of rows, K new rows, E width of a code's vector.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lantu.kernels import to_float

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK, SAMPLE = 4096, 2048  # rows that are in memory at once, and rows that noise is made of
NOISE = 0.1  # standard deviation of new rows, relative to the old ones'
FEATURES = 0.5  # the same for rows that are made of the codes' vectors: they may differ more, for they mean something


def new_rows(table_VD: np.ndarray, known: int, vectors: "Sequence[Tensor | int]", seed: int) -> np.ndarray:
    """Rows to append to a table, (K, …) in the table's own dtype.

    Args:
        table_VD: as in the file, perhaps mapped: it is read in blocks. A table of one axis is a bias.
        known: ids that have a token; the rows after them are padding, which was never trained.
        vectors: parts of the new rows in order: a number of rows near the mean, or code vectors (K, E).
        seed: for the noise.
    """
    count = sum(part if isinstance(part, int) else len(part) for part in vectors)
    mean = mean_of(table_VD[:known])
    if table_VD.ndim == 1:
        return like(mean.expand(count), table_VD)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(known, generator=generator)[:SAMPLE].sort().values
    spread_RD = to_torch(table_VD[chosen.numpy()]) - mean
    spread_RD /= len(spread_RD) ** 0.5
    parts = []
    for part in vectors:
        if isinstance(part, int):
            noise_KD = torch.randn(part, len(spread_RD), generator=generator) @ spread_RD
            parts.append(mean + NOISE * noise_KD)
        else:
            directions_ED = torch.randn(part.shape[1], len(spread_RD), generator=generator) @ spread_RD
            parts.append(mean + FEATURES * standard(part) @ directions_ED / part.shape[1] ** 0.5)
    return like(torch.cat(parts), table_VD)


def mean_of(table_VD: np.ndarray) -> Tensor:
    """The mean row, float32."""
    total = torch.zeros(table_VD.shape[1:], dtype=torch.float64)
    for start in range(0, len(table_VD), BLOCK):
        total += to_torch(table_VD[start : start + BLOCK]).sum(0, dtype=torch.float64)
    return (total / len(table_VD)).float()


def standard(vectors_KE: Tensor) -> Tensor:
    """Vectors of mean 0 and variance 1 in each direction."""
    vectors_KE = vectors_KE.float()
    return (vectors_KE - vectors_KE.mean(0)) / vectors_KE.std(0).clamp(min=1e-6)


def to_torch(values: np.ndarray) -> Tensor:
    """Numbers of a file as float32."""
    return torch.from_numpy(np.array(to_float(values), np.float32))


def like(values: Tensor, table: np.ndarray) -> np.ndarray:
    """Numbers in the dtype of a file's array; bfloat16 is uint16 there."""
    if table.dtype == np.uint16:
        return values.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16)
    return values.contiguous().numpy().astype(table.dtype)
