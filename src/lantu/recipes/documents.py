"""Documents of a training stream: a source is a function of a picture and a random generator; a mixture is a weighted
list of sources."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from lantu.errors import RecipeError
from lantu.recipes.corpus import Corpus
from lantu.tokens.document import LANGUAGES
from lantu.types import CodeGrid, Document

# Makes a document that has to do with the picture of this index; None if that picture gives none.
Source = Callable[[int, np.random.Generator], Document | None]


class Documents(Protocol):
    """A stream of documents."""

    def document(self, index: int, position: int) -> Document:
        """A document of the picture ``index``; which one depends on the position in the stream alone."""
        ...


class Captioned:
    """Captions and their pictures: to draw, to caption, and pictures without a caption.

    Args:
        captioning: share of the documents that go from picture to caption; of those with a caption in a language that
            the model doesn't write, the share goes to drawing.
        dropped: share of the documents without their caption.
    """

    def __init__(self, corpus: Corpus, captioning: float, dropped: float):
        self.corpus, self.captioning, self.dropped = corpus, captioning, dropped

    def document(self, index: int, position: int) -> Document:
        """A caption and its picture, in the order and form that the position's randomness gives."""
        rng = np.random.default_rng((self.corpus.seed, 1, position))
        index = self.corpus.picture(index, rng)
        grid = CodeGrid(self.corpus.grids[index])
        caption, language = self.corpus.caption(index, rng, other=True)
        if not caption:
            return Document((grid,))
        chance, writes = rng.random(), language in LANGUAGES
        if chance < self.captioning and writes:
            return Document((grid, caption), language)
        if self.captioning <= chance < self.captioning + self.dropped:
            return Document((grid,))
        return Document((self.corpus.request(caption, language, rng), grid), language if writes else "")


class Mixture:
    """Documents of several sources, each by its share.

    Args:
        sources: share and source.
        rest: gives the documents that no share covers, and stands in for a source that makes none of a picture.

    Raises:
        RecipeError: the shares add up to more than 1.
    """

    def __init__(self, sources: Sequence[tuple[float, Source]], rest: Documents, seed: int):
        if sum(share for share, _ in sources) > 1:
            raise RecipeError("the shares of the mixture add up to more than 1", "make them smaller")
        self.sources, self.rest, self.seed = sources, rest, seed

    def document(self, index: int, position: int) -> Document:
        """A document of a source that the position's randomness chooses."""
        rng = np.random.default_rng((self.seed, 3, position))
        chance = rng.random()
        for share, source in self.sources:
            if chance < share:
                return source(index, rng) or self.rest.document(index, position)
            chance -= share
        return self.rest.document(index, position)
