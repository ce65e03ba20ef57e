"""Codes aligned with text by a contrast, as SEED's are (arXiv:2307.08041, arXiv:2310.01218).

SEED's causal Q-Former learns by a contrastive loss between what its queries say and a caption's features. Here a small
text encoder learns beside the image tokenizer; it is needed in training alone. What codes, or a prefix of them, say of
a picture is the mean of what the plain decoder's middle layer predicts at the cells.

Shapes: B pictures and their captions, L words of a caption, T width of the shared space, D width of the text encoder.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.data.shards import Shards
from lantu.errors import RecipeError
from lantu.models.lantu.layers import Block, RMSNorm, rotation
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.caption_vectors import WORD

LOOKED_AT = 500  # pictures, for captions
BUCKETS, LONGEST = 8192, 32  # of hashed words, 0 for no word; and words of a caption that are read
WARM, HOTTEST = 1 / 0.07, 100.0  # factors of the cosines: at first (CLIP, arXiv:2103.00020), and at most


class CaptionWords:
    """The words of a random caption of each picture of a split, as numbers; zeros for one without captions."""

    def __init__(self, shards: Shards, seed: int):
        self.shards, self.seed = shards, seed

    def check(self) -> "CaptionWords":
        """Itself, where some of the first pictures have captions. Raises RecipeError where none has."""
        some = range(min(len(self.shards), LOOKED_AT))
        if not any(texts for index in some for texts in self.shards.sample(index).captions.values()):
            raise RecipeError(f"no captions in {self.shards.folder} to align codes with", "build it with captions")
        return self

    def __call__(self, indices: Sequence[int], step: int) -> Tensor:
        """(B, L) int64; a pure function of its arguments."""
        rng = np.random.default_rng((self.seed, 5, step))
        rows = np.zeros((len(indices), LONGEST), np.int64)
        for row, index in zip(rows, indices, strict=True):
            captions = self.shards.sample(index).captions
            texts = [text for language in sorted(captions) for text in captions[language]]
            place = rng.integers(max(1, len(texts)))
            if texts:
                numbers = numbers_of(texts[place])
                row[: len(numbers)] = numbers
        return torch.from_numpy(rows)


def numbers_of(text: str) -> list[int]:
    """The first words of a text as numbers from 1 on: a hash of each, the same in every run."""
    words = [word.encode() for word in WORD.findall(text.lower())[:LONGEST]]
    digests = (hashlib.blake2b(word, digest_size=8).digest() for word in words)
    return [1 + int.from_bytes(digest, "big") % (BUCKETS - 1) for digest in digests]


class TextEncoder(nn.Module):
    """Words → a vector of length 1: an embedding, two blocks, the mean."""

    def __init__(self, out: int, width: int = 128):
        super().__init__()
        self.heads = width // 64
        self.embedding = nn.Embedding(BUCKETS, width)
        self.blocks = nn.ModuleList(Block(width, self.heads) for _ in range(2))
        self.norm, self.out = RMSNorm(width), nn.Linear(width, out)

    def forward(self, words_BL: Tensor) -> Tensor:
        """(B, T) float32."""
        x_BLD = self.embedding(words_BL)
        known_BL = words_BL > 0
        known_BL[:, 0] = True  # something to attend to where there is no word
        rotation_2LK = rotation(1, words_BL.shape[1], x_BLD.shape[2] // self.heads, device=x_BLD.device)
        for block in self.blocks:
            x_BLD = block(x_BLD, rotation_2LK, mask_NN=known_BL[:, None, None])
        mean_BD = (self.norm(x_BLD) * known_BL[..., None]).sum(1) / known_BL.sum(1, keepdim=True)
        return F.normalize(self.out(mean_BD).float(), dim=-1)


class AlignedTokenizer(nn.Module):
    """An image tokenizer in training, and the text encoder that its codes are aligned with."""

    def __init__(self, tokenizer: ImageTokenizer, width: int):
        super().__init__()
        self.tokenizer, self.text = tokenizer, TextEncoder(width)
        self.width = width
        self.log_factor = nn.Parameter(torch.tensor(math.log(WARM)))

    def said(self, features_BNS: Tensor) -> Tensor:
        """(B, T) float32 of length 1: what codes say, by the last features that are predicted from them."""
        return F.normalize(features_BNS[..., -self.width :].float().mean(1), dim=-1)

    def contrast(self, features_BNS: Tensor, words_BL: Tensor) -> tuple[Tensor, Tensor]:
        """The symmetric contrastive loss (arXiv:2103.00020), and the share of pictures whose caption is the nearest.

        Equal captions are equally right; pictures without one are left out.
        """
        told_B = words_BL.any(1)
        if int(told_B.sum()) < 2:
            return features_BNS.new_zeros(()).float(), features_BNS.new_zeros(())
        words_BL = words_BL[told_B]
        cosine_BB = self.said(features_BNS)[told_B] @ self.text(words_BL).T
        same_BB = (words_BL[:, None] == words_BL).all(-1).float()
        wanted_BB = same_BB / same_BB.sum(1, keepdim=True)
        logits_BB = cosine_BB * self.log_factor.exp().clamp_max(HOTTEST)
        loss = (F.cross_entropy(logits_BB, wanted_BB) + F.cross_entropy(logits_BB.T, wanted_BB)) / 2
        found_B = same_BB.gather(1, cosine_BB.argmax(1, keepdim=True))
        return loss, found_B.mean().detach()
