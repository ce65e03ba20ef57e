"""Mask-and-replace transitions of discrete diffusion, in closed form (VQ-Diffusion, arXiv:2111.14822, section 4.1).

A code stays with probability α, becomes any of the K codes with β each (itself among them), and is masked with γ; a
mask stays a mask. Such steps are closed under composition, so that a product of (K+1) x (K+1) matrices is three numbers
(equation 8), and posteriors take O(K). Tests compare all of it with the matrices.

Works on NumPy arrays and torch tensors. Shapes: B pictures, N codes, K codebook size; any shape (...) before K.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lantu.diffusion.arrays import Array, namespace


@dataclass(frozen=True)
class Transition:
    """From one time to a later one; numbers, or arrays that broadcast against (...).

    Attributes:
        stay: α, of keeping a code.
        replace: β, of becoming one particular code by chance.
        mask: γ, of being masked.
    """

    stay: Any
    replace: Any
    mask: Any

    def likelihood(self, after: Array, codebook_size: int) -> Array:
        """q(after | code k) for each k: (..., K).

        Args:
            after: codes (...), K where masked.
        """
        codes_K = namespace(after).arange(codebook_size)
        if not isinstance(after, np.ndarray):
            codes_K = codes_K.to(after.device)
        same = (after[..., None] == codes_K) * 1.0
        masked = (after == codebook_size)[..., None] * 1.0
        stay, replace, mask = (inner(value) for value in (self.stay, self.replace, self.mask))
        return masked * mask + (1 - masked) * (stay * same + replace)


@dataclass(frozen=True)
class Schedule:
    """The transitions of a diffusion over so many steps, with linear shares: the paper's own (section 5.1).

    After step t of T a code is masked with probability ``masked · t / T``, is any code at all with
    ``(1 - masked) · t / T``, and is itself with the rest.

    Attributes:
        steps: T.
        codebook_size: K.
        masked: share of masks after the last step; below 1, so that codes are also replaced.
    """

    steps: int
    codebook_size: int
    masked: float = 0.9

    def __post_init__(self):
        if self.steps < 1 or self.codebook_size < 2 or not 0 < self.masked < 1:
            raise ValueError(f"no schedule of {self.steps} steps, {self.codebook_size} codes and masks {self.masked}")

    @cached_property
    def table_T3(self) -> np.ndarray:
        """Stay, replace and mask from time 0 to each of 0 … T."""
        share = np.arange(self.steps + 1) / self.steps
        return np.stack([1 - share, share * (1 - self.masked) / self.codebook_size, share * self.masked], -1)

    def until(self, t: Any) -> Transition:
        """From the picture to time t; t is an integer, or an array of them."""
        return Transition(*np.moveaxis(self.table_T3[t], -1, 0))

    def between(self, s: Any, t: Any) -> Transition:
        """From time s to a later time t."""
        before, after = self.until(s), self.until(t)
        unmasked_s, unmasked_t = 1 - before.mask, 1 - after.mask
        stay = after.stay / np.maximum(before.stay, 1e-12)
        # What is neither masked nor kept was replaced: all rows of a matrix sum to 1.
        keep = unmasked_t / unmasked_s
        return Transition(stay, (keep - stay) / self.codebook_size, 1 - keep)


def posterior(chances: Array, x_t: Array, until_s: Transition, s_to_t: Transition, until_t: Transition) -> Array:
    """p(x_s | x_t) of codes and, last, the mask, for a distribution of the clean codes: (..., K+1).

    It is the sum over clean codes k of ``q(x_s | x_t, k) · chances[k]`` (equations 5 and 11), so with chances of 0 and
    1 it is the true posterior.

    Args:
        chances: of the clean codes, (..., K).
        x_t: codes at time t (...), K where masked.
    """
    xp, size = namespace(chances), chances.shape[-1]
    weights = chances / until_t.likelihood(x_t, size)
    total = weights.sum(-1)[..., None]
    codes = s_to_t.likelihood(x_t, size) * (inner(until_s.stay) * weights + inner(until_s.replace) * total)
    mask = (x_t == size)[..., None] * 1.0 * inner(until_s.mask) * total
    return xp.concatenate([codes, mask], -1)


def inner(value: Any) -> Any:
    """A number per picture or code with an axis for the codebook."""
    return value[..., None] if getattr(value, "ndim", 0) else value


def corrupt(codes: np.ndarray, transition: Transition, codebook_size: int, rng: np.random.Generator) -> np.ndarray:
    """Codes (...) after a transition, K where masked."""
    chance, other = rng.random(codes.shape), rng.integers(codebook_size, size=codes.shape)
    kept = np.where(chance < transition.mask + transition.replace * codebook_size, other, codes)
    return np.where(chance < transition.mask, codebook_size, kept)
