"""Pictures that a model may read before it draws, and how they are found: retrieval of RA-CM3 and CM3Leon
(arXiv:2211.12561, section 3.2; arXiv:2309.02591, section 2.1).

Words and pictures share a space. A text is a bag of words: each English word, each Chinese character and pair of
characters is hashed to an axis, and rarer ones weigh more (TF-IDF). A picture is the linear map of a vision network's
features that comes nearest to its captions (``align``). A document is the average of the two. The papers use CLIP; this
needs no text encoder, works in both languages, and knows no synonyms.

On disk it is a part of a model directory: config.json, and safetensors with a vector, captions and codes of each
picture, so that neither pictures nor the data folder are needed to draw.

Shapes: M pictures, D axes, S features, h w grid.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lantu.data.grids import SIDES, Grids, as_row
from lantu.data.retrieval import WIDTH, axis, hashed, unit, words
from lantu.errors import DataError, ModelError
from lantu.files import WEIGHTS, replacing_folder, write_json
from lantu.weights import manifest
from lantu.weights.names import MEMORY_BANK

PART = "memory_bank"  # its folder in a model directory
ALIKE = 0.9  # cosine above which one of two documents is redundant (the papers' threshold)
DIGITS = 5  # of a cosine that count, so that how a processor sums decides nothing
HINT = "assemble the model again: lantu assemble --memory DATA"


class Found(NamedTuple):
    """A picture that was found: its number in the bank, the caption by which it is shown, codes (h, w)."""

    picture: int
    caption: str
    codes: np.ndarray


@dataclass(frozen=True, eq=False)
class MemoryBank:
    """Pictures with captions that can be searched by words.

    Args:
        vectors_MD: float32, of the documents, of length 1.
        rarity_D: weight of each axis, see ``rarity``.
        captions: number of a picture → its captions.
        grids: number of a picture → codes (h, w).
        tokenizer: digest of the image tokenizer whose codes these are; "" if it is not known.
    """

    vectors_MD: np.ndarray
    rarity_D: np.ndarray
    captions: Callable[[int], Sequence[str]]
    grids: Any
    tokenizer: str = ""

    def __len__(self) -> int:
        return len(self.vectors_MD)

    def search(self, text: str, count: int) -> list[Found]:
        """The most relevant pictures, the nearest one last; none that is nearly another of them.

        The same on every machine: cosines count to ``DIGITS``, then the order in the bank does.
        """
        query_D = embed([text], self.rarity_D)[0]
        scores_M = np.round(self.vectors_MD @ query_D, DIGITS)
        found: list[Found] = []
        chosen: list[np.ndarray] = []
        for picture in np.argsort(-scores_M, kind="stable").tolist():
            vector_D = self.vectors_MD[picture]
            if len(found) == count or not scores_M[picture] > 0:
                break
            codes = np.asarray(self.grids[picture])
            if any(float(vector_D @ other) > ALIKE for other in chosen) or any(same(codes, one.codes) for one in found):
                continue
            found.append(Found(picture, self.nearest_caption(picture, query_D), codes))
            chosen.append(vector_D)
        return found[::-1]

    def nearest_caption(self, picture: int, query_D: np.ndarray) -> str:
        """Of a picture's captions the one that is most like the query, so that it is also in its language."""
        texts = list(self.captions(picture))
        return texts[int(np.round(embed(texts, self.rarity_D) @ query_D, DIGITS).argmax())]

    def save(self, folder: Path, codebook_size: int) -> None:
        """Write the bank as a part of a model directory.

        Raises:
            DiskError: it can't be written.
        """
        import torch

        from lantu.weights import tensors

        texts = [json.dumps(list(self.captions(number)), ensure_ascii=False).encode() for number in range(len(self))]
        grids = [np.asarray(self.grids[number]) for number in range(len(self))]
        length = SIDES + max(grid.size for grid in grids)
        state = {
            "vectors": self.vectors_MD.astype(np.float16),
            "rarity": self.rarity_D.astype(np.float32),
            "grids": np.concatenate([as_row(grid[None], length) for grid in grids]).astype(np.int32),
            "captions": np.frombuffer(b"".join(texts), np.uint8),
            "ends": np.cumsum([len(text) for text in texts]).astype(np.int64),
        }
        config = {"_class_name": MEMORY_BANK, "count": len(self), "width": len(self.rarity_D), "row": length}
        config |= {"bytes": len(state["captions"]), "codebook_size": codebook_size, "tokenizer": self.tokenizer}
        with replacing_folder(folder, WEIGHTS) as temporary:
            tensors.save({name: torch.tensor(array) for name, array in state.items()}, temporary, dtype=None)
            write_json(temporary / "config.json", config)

    @classmethod
    def load(cls, folder: str | Path) -> "MemoryBank":
        """Open what ``save`` wrote; captions and codes stay on disk until they are read.

        Raises:
            ModelError: it is missing, damaged or changed, or its numbers are out of range.
        """
        config, state = manifest.read_arrays(PART, folder)
        if config["width"] != WIDTH:
            raise ModelError(f"the vectors in {folder} have {config['width']} axes, words are hashed to {WIDTH}", HINT)
        rows, ends = state["grids"], state["ends"]
        sides = np.asarray(rows[:, :SIDES], np.int64)
        if (sides < 1).any() or (sides.prod(1) > rows.shape[1] - SIDES).any():
            raise ModelError(f"the grids in {folder} don't fit in their rows", HINT)
        if rows[:, SIDES:].min() < 0 or rows[:, SIDES:].max() >= config["codebook_size"]:
            raise ModelError(f"the grids in {folder} have codes outside the codebook", HINT)
        if (np.diff(ends, prepend=0) < 2).any() or ends[-1] != config["bytes"]:
            raise ModelError(f"the captions in {folder} don't end where it says", HINT)
        vectors_MD, rarity_D = (np.array(state[name], np.float32) for name in ("vectors", "rarity"))
        if not np.isfinite(vectors_MD).all() or not np.isfinite(rarity_D).all():
            raise ModelError(f"the vectors in {folder} are not all finite numbers", HINT)
        reader = Captions(state["captions"], ends, str(folder))
        return cls(vectors_MD, rarity_D, reader, Grids(rows), str(config.get("tokenizer", "")))


def check_tokenizer(own: str, learnt: str, place: str) -> None:
    """Refuse a memory bank whose codes a language model can't read. Raises ModelError.

    Args:
        own: digest of the tokenizer of the bank's codes; "" if it is not known.
        learnt: digest of the tokenizer whose codes the language model learnt; "" if it is not known.
        place: where the bank is, for the message.
    """
    if own and learnt and own != learnt:
        what = f"the memory bank in {place} has codes of another tokenizer ({own[:12]}, not {learnt[:12]})"
        raise ModelError(what, "make one of this model's tokenizer: lantu assemble --memory DATA")


@dataclass(frozen=True, eq=False)
class Captions:
    """The captions of a bank on disk: JSON lists one behind the other, and where each ends."""

    text: np.ndarray
    ends: np.ndarray
    place: str

    def __call__(self, picture: int) -> list[str]:
        """Raises ModelError where they can't be read."""
        start = int(self.ends[picture - 1]) if picture else 0
        try:
            found = json.loads(self.text[start : int(self.ends[picture])].tobytes())
        except ValueError as problem:
            raise ModelError(f"the captions in {self.place} are damaged", HINT) from problem
        if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
            raise ModelError(f"the captions in {self.place} are not texts", HINT)
        return found


def rarity(captions: Iterable[Iterable[str]]) -> np.ndarray:
    """(D) float32: how much a word on each axis says, log(1 + captions / captions that have one); 0 for axes unseen.

    Raises:
        DataError: there are no captions.
    """
    counts, total = np.zeros(WIDTH, np.int64), 0
    for texts in captions:
        for text in texts:
            counts[sorted({axis(word)[0] for word in words(text)})] += 1
            total += 1
    if not total:
        raise DataError("there are no captions to search", "name data whose pictures have captions")
    return np.where(counts > 0, np.log1p(total / np.maximum(counts, 1)), 0).astype(np.float32)


def embed(texts: Sequence[str], rarity_D: np.ndarray) -> np.ndarray:
    """(texts, D) float32 of length 1; 0 for a text without known words."""
    return np.stack([embed_words(words(text), rarity_D) for text in texts])


def embed_words(found: Sequence[str], rarity_D: np.ndarray) -> np.ndarray:
    """(D) float32: ``embed`` of words that are already apart."""
    return unit(hashed(Counter(found)) * rarity_D)


def align(features_MS: np.ndarray, texts_MD: np.ndarray, strength: float = 0.1) -> np.ndarray:
    """(M, D) of length 1: pictures in the space of their captions, by ridge regression.

    Args:
        texts_MD: the mean vectors of their captions; 0 for a picture without any, which the map is not fitted to.
        strength: of the regularisation, relative to the mean variance of a feature.
    """
    captioned = texts_MD.any(1) | (not texts_MD.any())
    centred_MS = features_MS - features_MS[captioned].mean(0)
    fitted, texts = centred_MS[captioned], texts_MD[captioned]
    square = (fitted.T @ fitted).astype(np.float64)
    square[np.diag_indices_from(square)] += strength * len(fitted) * max(float(fitted.var(0).mean()), 1e-9)
    map_SD = np.linalg.solve(square, (fitted.T @ texts).astype(np.float64))
    return unit((centred_MS @ map_SD + texts.mean(0)).astype(np.float32))


def same(first: np.ndarray, second: np.ndarray, share: float = ALIKE) -> bool:
    """Whether two grids are nearly the same picture: more than a share of their codes."""
    return first.shape == second.shape and int((first == second).sum()) > math.floor(share * first.size)
