"""Any causal language model of transformers, run by transformers' own code, behind the engine's interface.

Slower than the others by far, and right for every architecture that transformers knows. Each row is read in a forward
pass of its own, so that no row can change another.
Shapes: n ids of a read, V ids.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lantu.engine.backends import sampling
from lantu.engine.backends.protocol import Draw, check_axes
from lantu.engine.request import Embeddings, Prompt, Ranges


class CachedSequence:
    """A sequence, its cache a copy of its prefix's."""

    __slots__ = ("cache", "length", "logits")

    def __init__(self, cache: Any, length: int, logits: Any):
        self.cache, self.length = cache, length
        self.logits = logits  # (n, V) after the ids of its last read; None before anything was read


class Language:
    """A causal language model: see ``protocol.Backend``."""

    exact = True
    tokens_per_pass = 64

    def __init__(self, model: Any):
        self.model = model.eval()
        self.vocabulary_size: int = model.config.get_text_config().vocab_size

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> "Language":
        """Read a transformers directory, in the precision of its file.

        Raises:
            ModelError: it can't be read, or its tensors are not those that its config asks for.
        """
        from lantu.weights import stock

        model: Any = stock.load(folder, "auto")
        return cls(model.to(device))

    def open(self, capacity: int, prefix: CachedSequence | None = None) -> CachedSequence:
        from transformers import DynamicCache

        if prefix is None:
            cache = DynamicCache(config=self.model.config)
            if any(cache.is_sliding):  # it forgets what lies behind the window, and could not be rewound
                cache = DynamicCache()
            return CachedSequence(cache, 0, None)
        return CachedSequence(copy.deepcopy(prefix.cache), prefix.length, prefix.logits[-1:])

    def close(self, row: CachedSequence) -> None:
        """Nothing to do: the memory is freed with the object."""

    def rewind(self, row: CachedSequence, length: int) -> None:
        row.cache.crop(length - row.length)  # a negative number removes that many
        row.length = length

    @torch.inference_mode()
    def read(
        self,
        rows: Sequence[CachedSequence],
        ids: Sequence[Prompt],
        positions: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        check_axes(positions, sectioned=False)
        for row, each in zip(rows, ids, strict=True):
            outputs = self.model(
                **self.inputs(each),
                cache=row.cache,
                use_cache=True,
                logits_to_keep=0 if row.length else 1,  # of a prefix only the last position's are needed
            )
            row.logits = outputs.logits[0].float()
            row.length += len(each)

    def inputs(self, prompt: Prompt) -> dict[str, Tensor]:
        """A prompt as transformers takes it."""
        if isinstance(prompt, Embeddings):
            vectors_ND = torch.from_numpy(prompt.vectors_ND.copy())
            return {"inputs_embeds": vectors_ND[None].to(self.model.device, self.model.dtype)}
        return {"input_ids": torch.tensor([list(prompt)], device=self.model.device)}

    @torch.inference_mode()
    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """(N, D) float32: what the first layer reads of ids, to make a prompt of embeddings with."""
        vectors_ND = self.model.get_input_embeddings()(torch.tensor(list(ids), device=self.model.device))
        return vectors_ND.float().cpu().numpy()

    def logits(self, rows: Sequence[CachedSequence], ranges: Ranges, backs: Sequence[int] = ()) -> Tensor:
        """(rows, ids in ranges) float32.

        Args:
            backs: of each row, how many ids of its last read are not to be known yet; none if not given.
        """
        backs = backs or [0] * len(rows)
        logits = torch.stack([row.logits[-1 - back] for row, back in zip(rows, backs, strict=True)])
        return torch.cat([logits[:, allowed.start : allowed.stop] for allowed in ranges], -1)

    @torch.inference_mode()
    def choose(self, draws: Sequence[Draw]) -> list[int]:
        return sampling.choose(self.logits, draws)
