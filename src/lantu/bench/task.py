"""What is measured: a language model on disk and a request to it, a decoder and its codes.

Speed does not depend on the values of the weights, so a model of any size can be random.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.engine.request import Request

# size → width, layers, heads, codes a side of a picture
SIZES = {"tiny": (64, 2, 1, 4), "small": (384, 8, 6, 16), "medium": (768, 12, 12, 16)}
TEXT, CODES = 12_000, 4096
GUIDANCE, TOP_K = 3.0, 100
PROMPT = 12  # ids
WORDS = "a cat on the left and a dog on the right"


@dataclass(frozen=True)
class Drafting:
    """A picture to be drafted.

    Attributes:
        folder: an unmodified transformers directory.
        prefix, unconditional: of equal length, so that no engine has to pad.
        first, count: of the codes' ids, all of which are allowed, and no others.
        limit: codes of a picture.
    """

    folder: Path
    prefix: tuple[int, ...]
    unconditional: tuple[int, ...]
    first: int
    count: int
    limit: int

    def request(self, seed: int, learnt: bool = False) -> Request:
        """One picture, guided by a second row, or in one row by a model that has learnt guidance."""
        return Request(
            self.prefix,
            (range(self.first, self.first + self.count),),
            limit=self.limit,
            seed=seed,
            unconditional=None if learnt else self.unconditional,
            guidance=1.0 if learnt else GUIDANCE,
            top_k=TOP_K,
        )


@contextmanager
def made_up(size: str) -> Iterator[Drafting]:
    """A Qwen3 with random weights, in a folder that is removed afterwards."""
    import torch

    from lantu.files import write_text
    from lantu.models.lantu.language import model
    from lantu.tokens import bpe
    from lantu.tokens.vocabulary import CONTROLS, Vocabulary

    width, layers, heads, side = SIZES[size]
    codec = bpe.train(["a cat", "一只猫"] * 2, 300)
    # As many ids as a model that reads all languages well: only the head of those that may come next is needed.
    vocabulary = Vocabulary(TEXT - CONTROLS, CODES)
    with tempfile.TemporaryDirectory() as folder:
        language: Any = model.make(vocabulary, width, layers, heads, grid=(side, side))
        language.to(torch.bfloat16).save_pretrained(folder)
        write_text(Path(folder) / "tokenizer.json", codec.tokenizer.to_str())
        prefix = tuple(range(1, PROMPT + 1))
        yield Drafting(Path(folder), prefix, prefix[::-1], TEXT, CODES, side * side)


def of_model(folder: Path) -> Drafting:
    """A model's own language model, at its own size."""
    from lantu.tokens import document
    from lantu.weights.language_config import read_grid, read_vocabulary
    from lantu.weights.text_codec import read_codec

    vocabulary, grid = read_vocabulary(folder / "language"), read_grid(folder / "language")
    text = read_codec(folder / "language").encode(WORDS)
    prefix = document.draw_prefix(text, *grid, vocabulary)
    other = document.draw_prefix(text[::-1], *grid, vocabulary)
    limit = grid[0] * grid[1]
    return Drafting(
        folder / "language", tuple(prefix), tuple(other), vocabulary.code_range.start, vocabulary.codebook_size, limit
    )
