"""Captions as vectors that a tokenizer's codes can be made to predict, without a text encoder.

Each word has a fixed random direction, and a caption is the sum of its words' less the mean caption's, so that words
which all captions share say nothing. Predicting it from codes aligns them with text, as SEED (arXiv:2310.01218) does by
a contrast with a text encoder; here no encoder is needed, and small batches do no harm.

Shapes: B pictures, T width of the vectors.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lantu.data.shards import Shards
from lantu.types import Sample

WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+|\d+|[\u3400-\u9fff]")  # Chinese by characters
AVERAGED = 2000  # pictures, for the mean caption


class CaptionVectors:
    """The vectors of a split's pictures; zero for one without captions.

    Args:
        width: of the vectors.
    """

    def __init__(self, shards: Shards, width: int):
        self.shards, self.width = shards, width
        self.known: dict[str, np.ndarray] = {}
        chosen = np.unique(np.linspace(0, len(shards) - 1, min(AVERAGED, len(shards))).astype(int)).tolist()
        all_ = [self.sum_of(shards.sample(index)) for index in chosen]
        said = [one for one in all_ if one.any()]
        self.mean = np.mean(said, 0) if said else np.zeros(width, np.float32)

    def __call__(self, indices: Sequence[int]) -> Tensor:
        """(B, T) float32, of length 1 or 0."""
        found = []
        for index in indices:
            vector = self.sum_of(self.shards.sample(index))
            vector = vector - self.mean if vector.any() else vector
            found.append(vector / max(float(np.linalg.norm(vector)), 1e-6))
        return torch.from_numpy(np.stack(found).astype(np.float32))

    def sum_of(self, sample: Sample) -> np.ndarray:
        """(T): the mean over a picture's captions of the sums of their words' directions."""
        captions = [text for texts in sample.captions.values() for text in texts]
        sums = [sum((self.word(word) for word in WORD.findall(text.lower())), self.nothing) for text in captions]
        return np.mean(sums, 0) if sums else self.nothing

    @property
    def nothing(self) -> np.ndarray:
        """The vector of no word."""
        return np.zeros(self.width, np.float32)

    def word(self, word: str) -> np.ndarray:
        """(T): a word's direction, the same in every run."""
        if word not in self.known:
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            vector = np.random.default_rng(seed).standard_normal(self.width).astype(np.float32)
            self.known[word] = vector / np.linalg.norm(vector)
        return self.known[word]
