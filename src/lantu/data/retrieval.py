"""Retrieval of pictures by the words of their captions, to be put before a prompt (as CM3Leon does, arXiv:2309.02591).

Captions are compared as weighted bags of words: each English word, each Chinese character and pair of characters is
hashed to an entry of a vector, rarer ones weigh more (TF-IDF), and faiss finds the largest cosines. This knows no
synonyms, but needs no network and no file beside the data, and takes two seconds for ten thousand pictures.
scikit-learn's vectorizers don't split Chinese, and would be a large dependency for twenty lines.
"""

import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from lantu.errors import DataError, LantuError

WIDTH = 512  # entries of a vector
MOST = 10_000  # the most pictures of a data folder that are indexed
WORD = re.compile(r"[a-z0-9]+|[\u2e80-\u9fff]+")


class CaptionIndex:
    """Captions of pictures, to be searched.

    Args:
        captions: of each picture.

    Raises:
        LantuError: faiss is not installed.
        DataError: there are no captions.
    """

    def __init__(self, captions: Sequence[Iterable[str]]):
        try:
            import faiss
        except ImportError as problem:
            raise LantuError("retrieving pictures needs faiss", "pip install faiss-cpu") from problem
        self.texts, self.pictures = [], []
        for picture, texts in enumerate(captions):
            for text in dict.fromkeys(texts):
                self.texts.append(text)
                self.pictures.append(picture)
        if not self.texts:
            raise DataError("there are no captions to search", "name data whose pictures have captions")
        bags = [Counter(words(text)) for text in self.texts]
        seen = Counter(word for bag in bags for word in bag)
        self.weights = {word: math.log(1 + len(bags) / count) for word, count in seen.items()}
        self.index = faiss.IndexFlatIP(WIDTH)
        self.index.add(np.stack([self.vector(bag) for bag in bags]))

    def vector(self, bag: Counter[str]) -> np.ndarray:
        """(WIDTH) float32 of length 1, or all 0 for unknown words."""
        return unit(hashed({word: count * self.weights.get(word, 0.0) for word, count in bag.items()}))

    def search(
        self, text: str, count: int, fits: Callable[[int], bool] = lambda picture: True
    ) -> list[tuple[int, str]]:
        """The nearest pictures, the nearest one last, each with the caption by which it was found.

        Args:
            count: the most pictures; no two have the same caption.
            fits: says of a picture whether it may be among them.
        """
        _, rows = self.index.search(self.vector(Counter(words(text)))[None], min(32 * count, len(self.texts)))
        found: dict[int, str] = {}
        for row in rows[0].tolist():
            picture, caption = self.pictures[row], self.texts[row]
            if picture not in found and caption not in found.values() and fits(picture):
                found[picture] = caption
            if len(found) == count:
                break
        return list(found.items())[::-1]

    @classmethod
    def of(cls, folder: str | Path, most: int = MOST) -> "CaptionIndex":
        """The first training pictures of a data folder, in all languages.

        Raises:
            DataError: there is no data.
        """
        from lantu.data.shards import Shards

        shards = Shards(folder, "train")
        samples = map(shards.sample, range(min(most, len(shards))))
        return cls([[text for texts in sample.captions.values() for text in texts] for sample in samples])


@lru_cache(maxsize=1 << 16)
def axis(word: str) -> tuple[int, float]:
    """The axis that a word is hashed to, and its sign, by which two words of one axis cancel on average."""
    code = zlib.crc32(word.encode("utf-8", "replace"))
    return code % WIDTH, 1.0 if code & (1 << 31) else -1.0


def hashed(weights: Mapping[str, float]) -> np.ndarray:
    """(WIDTH) float32: the sum of the axes of weighted words, each with its sign."""
    made_D = np.zeros(WIDTH, np.float32)
    for word, weight in weights.items():
        place, sign = axis(word)
        made_D[place] += weight * sign
    return made_D


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; those of 0 stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def words(text: str) -> list[str]:
    """The words that are compared: English words without the plural s, Chinese characters and pairs of neighbours."""
    found = []
    for run in WORD.findall(text.lower()):
        if run[0].isascii():
            found.append(run.removesuffix("s"))
        else:
            found += [*run, *(first + second for first, second in itertools.pairwise(run))]
    return found
