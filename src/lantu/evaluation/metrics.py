"""Numbers that compare pictures, captions and shares. Features come as arrays, so no network is needed here.

Shapes: N samples, S features, H W pixels.
"""

import math
import re
from collections.abc import Collection

import numpy as np


def psnr(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB: (N, H, W, 3) uint8 twice → (N,); 100 for equal pictures."""
    error = np.square(first.astype(np.float32) - second.astype(np.float32)).mean((1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error, 255**2 * 1e-10))


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two sets of features, as normal distributions: Heusel et al., arXiv:1706.08500, eq. 6.

    It falls with the number of samples: compare distances of equally many samples only.

    Args:
        first, second: (N, S), at least two samples each.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    means = np.square(first.mean(0) - second.mean(0)).sum()
    first, second = ((x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (first, second))
    # The covariances are AᵀA and BᵀB, and the trace of the root of their product is the nuclear norm of ABᵀ, for which
    # the triangle of a QR decomposition does as well as A and is never longer.
    triangles = [np.asarray(np.linalg.qr(x, mode="r")) for x in (first, second)]
    root = np.linalg.svd(triangles[0] @ triangles[1].T, compute_uv=False).sum()
    return float(max(0.0, means + np.square(first).sum() + np.square(second).sum() - 2 * root))


def interval(share: float, count: float, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share of ``count`` trials."""
    if count == 0:
        return 0.0, 1.0
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, (middle - half) / (1 + z * z / count)), min(1.0, (middle + half) / (1 + z * z / count))


def words_in(caption: str, lexicon: Collection[str]) -> set[str]:
    """The words and phrases of the lexicon that a caption uses: see ``mentions``."""
    return set(mentions(caption, lexicon))


def mentions(caption: str, lexicon: Collection[str]) -> list[str]:
    """Every use of a word or phrase of the lexicon in a caption, in order; the longest where several begin.

    So "hot dog" does not name a dog, nor 猫头鹰 a cat. English plurals count as singulars; case is ignored.
    """
    spellings = {spelling: word for word in lexicon for spelling in plurals(word.lower())}
    longest_first = sorted(spellings, key=len, reverse=True)
    if not longest_first:
        return []
    parts = [rf"\b{re.escape(s)}\b" if s.isascii() else re.escape(s) for s in longest_first]
    return [spellings[found] for found in re.findall("|".join(parts), caption.lower())]


def plurals(word: str) -> list[str]:
    """An English word and possible spellings of its plural, right or wrong; other words alone."""
    if not word.isascii():
        return [word]
    forms = [word, word + "s", word + "es"]
    forms += [word[:-1] + "ies"] if word.endswith("y") else []
    forms += [word[:-1] + "ves"] if word.endswith("f") else [word[:-2] + "ves"] if word.endswith("fe") else []
    forms += [word[:-5] + "mice"] if word.endswith("mouse") else []
    forms += [word[:-5] + "geese"] if word.endswith("goose") else []
    return [*forms, word[:-3] + "men"] if word.endswith("man") else forms
