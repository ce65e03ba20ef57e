"""Plain text beside documents of pictures, so that a language model that learns to draw keeps its language.

Shapes: P pieces, N ids.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lantu.data.order import Order
from lantu.data.packing import pack
from lantu.data.texts import pages
from lantu.errors import DataError
from lantu.recipes.language_task import Objective
from lantu.recipes.next_token import next_token_losses
from lantu.tokens.pretrained import PretrainedCodec
from lantu.training.task import Metrics

PAGE = 1 << 20  # characters that are encoded at once
HELD_OUT = 20  # one piece of so many is not trained on


def pieces(source: str | Path, codec: PretrainedCodec, end: int | None, length: int) -> list[np.ndarray]:
    """The texts as ids, in pieces of at most ``length``, which end with the id of the model's end where a text does.

    Raises:
        DataError: a text can't be read, or there is nothing in them.
    """
    found: list[np.ndarray] = []
    for page in pages(source):
        ids: list[int] = []
        for start in range(0, len(page), PAGE):
            ids += codec.encode_page(page[start : start + PAGE])
        ids += [] if end is None else [end]
        found += [np.array(ids[start : start + length], np.int32) for start in range(0, len(ids), length)]
    found = [piece for piece in found if len(piece) > 1]
    if not found:
        raise DataError(f"the texts in {source} are empty", "give some text")
    return found


def parted(found: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The pieces to train on and those that are held out: the last twentieth, one at least.

    Raises:
        DataError: there is only one.
    """
    held = -(-len(found) // HELD_OUT)
    if held == len(found):
        raise DataError(
            "the plain text is too short to hold some out", "give more, or make its pieces shorter: text_length"
        )
    return list(found[:-held]), list(found[-held:])


class PlainText(Objective):
    """The next tokens of plain text.

    Args:
        length: ids of a row.
        weight: of its loss.
    """

    def __init__(self, model: nn.Module, found: Sequence[np.ndarray], length: int, pad: int, weight: float, seed: int):
        self.model, self.found, self.length, self.pad, self.weight = model, found, length, pad, weight
        self.order = Order(len(found), seed)

    def batch(self, indices: Sequence[int], first: int) -> dict[str, Tensor]:
        """As many pieces as pictures, packed in rows: ids, positions and segments, (R, N) int64."""
        chosen = self.order.indices(first, len(indices)).tolist()
        return rows([self.found[index] for index in chosen], self.length, self.pad)

    def loss(self, batch: Any, step: int) -> tuple[Tensor, Metrics]:
        """The mean over all ids; logged as "plain"."""
        losses, targets = next_token_losses(self.model, **batch)
        loss = losses.sum() / (targets >= 0).sum()
        return self.weight * loss, {"plain": loss.detach()}


def rows(found: Sequence[np.ndarray], length: int, pad: int) -> dict[str, Tensor]:
    """Pieces packed in rows, as ``next_token_losses`` takes them."""
    packed = pack(found, length, pad)
    return {name: torch.from_numpy(value) for name, value in packed._asdict().items()}
