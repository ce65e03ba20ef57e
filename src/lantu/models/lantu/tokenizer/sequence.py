"""Pictures as sequences of codes (1-D tokens): queries read a picture's cells, cells are painted from what they read.

TiTok (arXiv:2406.07550) reads a picture by learnt queries instead of cell by cell. Here, as in SEED (arXiv:2310.01218),
queries are causal: each sees the whole picture and the queries before it, so that codes come in the order in which a
language model drafts them. Trained on prefixes of random length (nested dropout, arXiv:1402.0915; for pictures,
FlexTok, arXiv:2502.13967), the first codes carry what matters most, and any prefix makes a picture.

Shapes: B batch, h w grid, N = h·w cells, Q queries (or codes, of a prefix), D width, K head width.
"""

import torch
from torch import Tensor, nn

from lantu.models.lantu.layers import rotation


class Queries(nn.Module):
    """Learnt tokens behind those of the cells, in the encoder."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(count, width) * width**-0.5)

    def append(self, x_BND: Tensor) -> Tensor:
        """(B, N + Q, D)."""
        return torch.cat([x_BND, self.tokens.to(x_BND.dtype).expand(len(x_BND), -1, -1)], 1)

    def mask(self, cells: int) -> Tensor:
        """(N + Q, N + Q) bool: cells see cells; a query sees cells, itself and the queries before it."""
        count = len(self.tokens)
        mask = torch.ones(cells + count, cells + count, dtype=torch.bool, device=self.tokens.device).tril()
        mask[:cells, :cells] = True
        return mask


class Canvas(nn.Module):
    """Blank cells before the codes of a sequence, in the decoder."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.blank = nn.Parameter(torch.randn(width) * width**-0.5)
        self.places = nn.Parameter(torch.randn(count, width) * width**-0.5)

    def prepend(self, codes_BQD: Tensor, cells: int) -> Tensor:
        """(B, N + Q, D): blank cells, then codes with their places in the sequence."""
        B, Q, D = codes_BQD.shape
        blank_BND = self.blank.to(codes_BQD.dtype).expand(B, cells, D)
        return torch.cat([blank_BND, codes_BQD + self.places[:Q].to(codes_BQD.dtype)], 1)


def rotation_beside(height: int, width: int, count: int, head_width: int, device: torch.device) -> Tensor:
    """(2, N + Q, K/2): the angles of cells; tokens of a sequence are not rotated."""
    cells_2NK = rotation(height, width, head_width, device=device)
    still_2QK = torch.zeros(2, count, cells_2NK.shape[2], device=device)
    still_2QK[0] = 1
    return torch.cat([cells_2NK, still_2QK], 1)


def prefix(count: int, fewest: int) -> int:
    """A random length: all codes in half of the cases, else ``fewest`` times a power of two, up to all.

    Drawn from torch's generator, once for a batch, so that the shorter ones cost less.
    """
    lengths = [fewest]
    while lengths[-1] < count:
        lengths.append(min(2 * lengths[-1], count))
    if torch.rand(()) < 0.5:
        return count
    return lengths[int(torch.randint(len(lengths), ()))]
