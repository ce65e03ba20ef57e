"""A language backend whose next "ids" are vectors: what the engine needs to draft them like codes.

The engine does not look at ids, so batching, shared prefixes, guidance and cancelling are its own. An id of text is an
int, a vector a tuple of levels. Shapes: R rows, S steps, E numbers of a vector, D width.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lantu.diffusion.arrays import Array, namespace
from lantu.engine.backends.protocol import Draw
from lantu.engine.request import Embeddings, Prompt
from lantu.rivals.continuous.levels import Levels

RESOLUTION = 1 << 53  # of a uniform number


class Head(Protocol):
    """Vectors into the language model, and out of its hidden states."""

    def embed(self, vectors_RE: np.ndarray) -> np.ndarray:
        """Input embeddings (R, D) float32."""
        ...

    def sample(
        self,
        hidden_RD: Array,
        unconditional_RD: Array | None,
        guidance_R1: np.ndarray,
        temperature_R1: np.ndarray,
        noise_SRE: np.ndarray,
    ) -> np.ndarray:
        """The next vector of each row (R, E) float32."""
        ...


class VectorBackend:
    """See ``lantu.engine.backends.protocol.Backend``.

    Args:
        language: the backend of the language model.
        steps: noise vectors that the head takes for one vector; 1 where it takes none.
        channels: E.
    """

    tokens_per_pass = 1  # no draft tokens

    def __init__(self, language: Any, head: Head, levels: Levels, steps: int, channels: int):
        self.language, self.head, self.levels = language, head, levels
        self.steps, self.channels = steps, channels
        self.open, self.close, self.rewind = language.open, language.close, language.rewind
        self.vectors, self.exact = language.vectors, language.exact

    @property
    def vocabulary_size(self) -> int:
        return self.language.vocabulary_size

    def read(self, rows: Sequence[Any], ids: Sequence[Any], positions: Any = None) -> None:
        self.language.read(rows, [self.prompt(each) for each in ids], positions)

    def prompt(self, ids: Any) -> Prompt:
        """Ids as the language model reads them: drafted vectors as embeddings."""
        if isinstance(ids, Embeddings) or not isinstance(ids[0], tuple):
            return ids
        return Embeddings(self.head.embed(self.levels.vectors(np.array(ids))))

    def choose(self, draws: Sequence[Draw]) -> list[Any]:
        chosen: list[Any] = [None] * len(draws)
        for guided in (False, True):
            places = [place for place, draw in enumerate(draws) if (draw.unconditional is not None) == guided]
            if places:
                vectors_RE = self.sample([draws[place] for place in places], guided)
                for place, vector in zip(places, self.levels.of(vectors_RE).tolist(), strict=True):
                    chosen[place] = tuple(vector)
        return chosen

    def sample(self, draws: Sequence[Draw], guided: bool) -> np.ndarray:
        """The vectors of draws that are all guided, or none of them; (R, E)."""

        def hidden(rows: Sequence[Any]) -> Array:
            newest = [row.hidden[-1 - draw.back] for row, draw in zip(rows, draws, strict=True)]
            return namespace(newest[0]).stack(newest)

        numbers = [[draw.guidance, draw.temperature] for draw in draws]
        guidance_R1, temperature_R1 = np.array(numbers, np.float32).T[:, :, None]
        # A position's uniform number seeds its noise: it depends on the request's seed and the position alone.
        seeds = [int(draw.uniform * RESOLUTION) for draw in draws]
        shape = (self.steps, self.channels)
        noise = [np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds]
        without = hidden([draw.unconditional for draw in draws]) if guided else None
        conditional = hidden([draw.row for draw in draws])
        return self.head.sample(conditional, without, guidance_R1, temperature_R1, np.stack(noise, 1))
