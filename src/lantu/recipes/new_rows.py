"""The rows of a language model's new ids as parameters of their own, so that the old rows stay bit for bit.

Neither an optimizer's weight decay nor its rounding can reach what is not among its parameters, and no moments are kept
for a table of 150,000 rows of which 4,000 learn.

Shapes: B N as usual, V ids of which the first ``first`` are old, K new ids, D width.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SplitEmbedding(nn.Module):
    """An embedding whose last rows are another parameter.

    Args:
        old: the whole table; its rows from ``first`` on are no longer used.
        new_KD: the new rows.
    """

    def __init__(self, old: nn.Embedding, new_KD: nn.Parameter, first: int):
        super().__init__()
        self.old, self.new, self.first = old, new_KD, first

    def forward(self, ids_BN: Tensor) -> Tensor:
        """(B, N, D), scaled where the architecture scales its embeddings (Gemma)."""
        is_new_BN = ids_BN >= self.first
        old_BND = self.old(ids_BN.masked_fill(is_new_BN, 0))
        new_BND = F.embedding((ids_BN - self.first).clamp(min=0), self.new).to(old_BND.dtype)
        scale = getattr(self.old, "embed_scale", None)
        if scale is not None:
            new_BND = new_BND * torch.as_tensor(scale, dtype=new_BND.dtype, device=new_BND.device)
        return torch.where(is_new_BN[..., None], new_BND, old_BND)


class SplitHead(nn.Module):
    """A head whose last rows are another parameter, and whose bias, if it has one, stays as it is."""

    def __init__(self, old: nn.Linear, new_KD: nn.Parameter, first: int):
        super().__init__()
        self.old, self.new, self.first = old, new_KD, first

    def forward(self, x_BND: Tensor) -> Tensor:
        """Logits (B, N, V)."""
        old_BNV = F.linear(x_BND, self.old.weight[: self.first])
        logits_BNV = torch.cat([old_BNV, F.linear(x_BND, self.new.to(x_BND.dtype)).to(old_BNV.dtype)], -1)
        return logits_BNV if self.old.bias is None else logits_BNV + self.old.bias


def split(model: Any, first: int) -> list[nn.Parameter]:
    """Split the tables of a transformers causal language model in place; returns the new rows, one set if it is tied.

    Args:
        first: the first new id.
    """
    inputs, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = [rows_of(inputs.weight, first)]
    if head.weight is not inputs.weight:
        rows.append(rows_of(head.weight, first))
    model.set_input_embeddings(SplitEmbedding(inputs, rows[0], first))
    model.set_output_embeddings(SplitHead(head, rows[-1], first))
    return rows


def rows_of(table_VD: Tensor, first: int) -> nn.Parameter:
    """The rows of new ids as a parameter in float32."""
    return nn.Parameter(table_VD.detach()[first:].float().clone())


def joined(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Each split table as one tensor again: its name, and its numbers in the dtype of the old rows."""
    for name, module in model.named_modules():
        if isinstance(module, SplitEmbedding | SplitHead):
            old_VD = module.old.weight.detach()
            yield f"{name}.weight", torch.cat([old_VD[: module.first], module.new.detach().to(old_VD.dtype)])
