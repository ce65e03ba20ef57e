"""Which pictures are found for each picture of a training set: relevant, never itself or its like, and diverse.

As in arXiv:2309.02591, section 2.1: queries are captions, of which some words are dropped, and pictures; a document
too similar to the query's own, or to one that was already found, is passed over.

Shapes: M pictures, W ways to ask (some of captions, the last one of pictures), K found for each, D axes, Q queries,
L documents that are looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lantu.data.memory_bank import ALIKE, embed_words, same
from lantu.data.retrieval import words
from lantu.types import Sample

LOOKED_AT = 256  # the most relevant documents of a query, of which few pass where many pictures are alike
BLOCK = 1024  # queries at a time
NOTHING = -1  # in place of a picture where fewer were found
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asking:
    """How a training set is searched.

    Attributes:
        ways: queries by caption for each picture; with its looks there is one more, by the picture.
        kept: found for each query, at most.
        forgotten: share of a caption's words that are dropped, so that what is found varies.
        nearest: cosine above which a document is too similar to the query's own, or to another that was found.
        same: share of equal codes above which two pictures are the same.
        seed: of captions and dropped words.
    """

    ways: int = 3
    kept: int = 4
    forgotten: float = 0.2
    nearest: float = ALIKE
    same: float = ALIKE
    seed: int = 0


def neighbours(
    documents_MD: np.ndarray,
    looks_MD: np.ndarray | None,
    rarity_D: np.ndarray,
    samples: Sequence[Sample],
    grids: Any,
    how: Asking,
    progress: Progress = lambda done, total: None,
) -> np.ndarray:
    """(M, W, K) int32: what is found for each picture, the most relevant first; NOTHING where there is no more.

    Args:
        documents_MD: vectors of the memory.
        looks_MD: vectors of the pictures alone; None if they are not known.
        grids: codes (h, w) of each picture.
    """
    count, ways = len(documents_MD), how.ways + (looks_MD is not None)
    found = np.full((count, ways, how.kept), NOTHING, np.int32)
    search = searcher(documents_MD)
    for way in range(ways):
        for first in range(0, count, BLOCK):
            chosen = range(first, min(first + BLOCK, count))
            if looks_MD is not None and way == how.ways:
                queries = looks_MD[first : chosen.stop]
            else:
                queries = np.stack([query(samples[number], rarity_D, how, number, way) for number in chosen])
            for number, candidates in zip(chosen, search(queries), strict=True):
                passed = pass_over(number, candidates.tolist(), documents_MD, grids, how)
                found[number, way, : len(passed)] = passed
            progress(way * count + chosen.stop, ways * count)
    return found


def query(sample: Sample, rarity_D: np.ndarray, how: Asking, number: int, way: int) -> np.ndarray:
    """(D): one of a picture's captions without some of its words; 0 for a picture without captions."""
    rng = np.random.default_rng((how.seed, 5, way, number))
    captions = [text for _, texts in sorted(sample.captions.items()) for text in texts]
    if not captions:
        return np.zeros(len(rarity_D), np.float32)
    known = words(captions[rng.integers(len(captions))])
    kept = [word for word in known if rng.random() >= how.forgotten]
    return embed_words(kept or known, rarity_D)


def pass_over(number: int, candidates: Sequence[int], documents_MD: np.ndarray, grids: Any, how: Asking) -> list[int]:
    """Of some candidates for picture ``number``, in order of relevance, those that are neither like it nor alike."""
    chosen, own = [number], np.asarray(grids[number])
    codes, vectors = [own], [documents_MD[number]]
    for candidate in candidates:
        if len(chosen) > how.kept:
            break
        if candidate in chosen or candidate < 0:
            continue
        vector_D, grid = documents_MD[candidate], np.asarray(grids[candidate])
        if max(float(vector_D @ other) for other in vectors) > how.nearest:
            continue
        if any(same(grid, other, how.same) for other in codes):
            continue
        chosen.append(candidate)
        codes.append(grid)
        vectors.append(vector_D)
    return chosen[1:]


def searcher(documents_MD: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """(queries, D) → the numbers of the nearest documents, (queries, LOOKED_AT), the nearest first.

    NOTHING in the place of documents that have nothing in common with a query, as all have with one of 0. An exact
    search: by faiss where it is installed, else by NumPy.
    """
    count = min(LOOKED_AT, len(documents_MD))
    documents_MD = np.ascontiguousarray(documents_MD, np.float32)
    try:
        import faiss
    except ImportError:

        def by_numpy(queries_QD: np.ndarray) -> np.ndarray:
            scores_QM = queries_QD @ documents_MD.T
            found_QL = np.argsort(-scores_QM, axis=1, kind="stable")[:, :count]
            return np.where(np.take_along_axis(scores_QM, found_QL, 1) > 0, found_QL, NOTHING)

        return by_numpy
    index = faiss.IndexFlatIP(documents_MD.shape[1])
    index.add(documents_MD)

    def by_faiss(queries_QD: np.ndarray) -> np.ndarray:
        scores_QL, found_QL = index.search(np.ascontiguousarray(queries_QD, np.float32), count)
        return np.where(scores_QL > 0, found_QL, NOTHING)

    return by_faiss
