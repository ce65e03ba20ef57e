"""How a model of vectors drafts, as it is trained: the next one by a stock language model, or any in random order.

Shapes: B documents, N ids, n = h·w vectors of a picture, E numbers of one, D width, M vectors or ids.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lantu.data.packing import one_each
from lantu.models.lantu.language.model import export, make
from lantu.models.lantu.layers import in_blocks
from lantu.models.masked import sequence
from lantu.recipes.corpus import Corpus
from lantu.recipes.documents import Captioned
from lantu.recipes.rivals.vectors import Space
from lantu.rivals.continuous.bidirectional import MaskedVectorConfig, MaskedVectorTransformer
from lantu.rivals.continuous.network import Vectors
from lantu.tokens.bpe import TextCodec
from lantu.tokens.document import draw_prefix
from lantu.tokens.vocabulary import Vocabulary
from lantu.training.optimizer import is_hidden
from lantu.training.task import Metrics

LEAST_MASKED, SPREAD = 0.7, 0.25  # shares of the cells that are masked: section 4.2 of arXiv:2406.11838
NORMAL = NormalDist()


class Drafts(Protocol):
    """What drafts vectors.

    Attributes:
        network: the transformer.
    """

    network: Any

    def documents(self, corpus: Corpus, indices: Sequence[int], first: int, dropped: float) -> dict[str, Tensor]:
        """What the transformer reads of pictures, without their vectors.

        Args:
            first: the place in training of the first, from which all randomness follows.
            dropped: share that is learnt without words.
        """
        ...

    def loss(self, vectors: Vectors, batch: Any, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Of a batch, which has "vectors" (B, n, E) beside its documents."""
        ...

    def uses_muon(self, name: str, parameter: Tensor) -> bool:
        """Whether Muon may update one of the transformer's parameters."""
        ...

    def save(self, folder: Path, codec: TextCodec) -> None:
        """Write the transformer as a model directory keeps it."""
        ...


class Raster:
    """A stock causal language model reads words and vectors, and is asked for the next of either (arXiv:2307.05222)."""

    def __init__(self, recipe: Any, vocabulary: Vocabulary, space: Space):
        self.recipe, self.vocabulary = recipe, vocabulary
        sizes = (recipe.width, recipe.layers, recipe.heads, recipe.inner)
        self.network: Any = make(vocabulary, *sizes, grid=space.grid, seed=recipe.loop.seed)

    def documents(self, corpus: Corpus, indices: Sequence[int], first: int, dropped: float) -> dict[str, Tensor]:
        """ids (B, N), whose codes stand for vectors, and what is no padding."""
        documents = Captioned(corpus, self.recipe.captioning, dropped)
        ids = [corpus.ids(documents.document(index, place))[0] for place, index in enumerate(indices, first)]
        rows = one_each(ids, self.vocabulary.special("pad"))
        return {"ids": torch.from_numpy(rows.ids), "seen": torch.from_numpy(rows.segments >= 0)}

    def loss(self, vectors: Vectors, batch: Any, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Of the next vector, and the cross-entropy of the next id of text (arXiv:2307.05222, equation 2)."""
        ids_BN, vectors_BnE = batch["ids"], batch["vectors"]
        is_vector = self.vocabulary.is_code(ids_BN)
        read_BnE = jittered(vectors_BnE, self.recipe.jitter, generator)
        x_BND = self.network.get_input_embeddings()(ids_BN)
        x_BND = x_BND.masked_scatter(is_vector[..., None], vectors.into(read_BnE).to(x_BND.dtype))
        hidden_BND = self.network.model(inputs_embeds=x_BND, use_cache=False).last_hidden_state[:, :-1]
        after, seen = is_vector[:, 1:], batch["seen"][:, 1:]
        drawn = vectors.head.loss(hidden_BND[after], vectors_BnE.flatten(0, 1), generator, self.recipe.repeats)
        words = seen & ~after
        logits_MV = self.network.get_output_embeddings()(hidden_BND[words]).float()
        text = F.cross_entropy(logits_MV, ids_BN[:, 1:][words])
        return drawn + self.recipe.words * text, {"vectors": drawn.detach(), "text": text.detach()}

    def uses_muon(self, name: str, parameter: Tensor) -> bool:
        """Matrices between hidden layers."""
        return is_hidden(name, parameter)

    def save(self, folder: Path, codec: TextCodec) -> None:
        """An unmodified transformers directory."""
        export(self.network, folder, codec)


class Shuffled:
    """A bidirectional transformer reads words and some vectors; a head is asked for the others (arXiv:2406.11838)."""

    def __init__(self, recipe: Any, vocabulary: Vocabulary, space: Space):
        self.recipe, self.vocabulary, self.grid = recipe, vocabulary, space.grid
        drawing = {"text_size": vocabulary.text_size, "codebook_size": vocabulary.codebook_size}
        drawing |= {"grid": list(space.grid), "learnt": [], "tokenizer": space.eye.digest}
        config = MaskedVectorConfig(width=recipe.width, layers=recipe.layers, passes=recipe.passes, lantu=drawing)
        self.network: Any = MaskedVectorTransformer(config)

    def documents(self, corpus: Corpus, indices: Sequence[int], first: int, dropped: float) -> dict[str, Tensor]:
        """ids (B, N) of masks and a prompt, what is no padding, and which cells are masked (B, n)."""
        n, rows, masked = self.grid[0] * self.grid[1], [], []
        for place, index in enumerate(indices, first):
            rng = np.random.default_rng((self.recipe.loop.seed, 1, place))
            masked.append(mask(n, rng))
            text = [] if rng.random() < dropped else prompt(corpus, index, rng)
            rows.append(sequence.ids_of(draw_prefix(text, *self.grid, self.vocabulary), [-1] * n, self.vocabulary))
        longest = max(map(len, rows))
        ids_BN = np.full((len(rows), longest), self.vocabulary.special("pad"), np.int64)
        for padded, row in zip(ids_BN, rows, strict=True):
            padded[: len(row)] = row
        seen_BN = np.arange(longest) < np.array([len(row) for row in rows])[:, None]
        found = {"ids": ids_BN, "seen": seen_BN, "masked": np.stack(masked)}
        return {name: torch.from_numpy(value) for name, value in found.items()}

    def loss(self, vectors: Vectors, batch: Any, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Of the masked vectors."""
        masked_Bn, vectors_BnE = batch["masked"], batch["vectors"]
        cells_BnD = vectors.into(jittered(vectors_BnE, self.recipe.jitter, generator))
        x_BND = self.network.told(batch["ids"], cells_BnD, masked_Bn)
        hidden_BnD = self.network.hidden(x_BND, batch["seen"], *self.grid)
        drawn = vectors.head.loss(hidden_BnD[masked_Bn], vectors_BnE[masked_Bn], generator, self.recipe.repeats)
        return drawn, {"vectors": drawn.detach()}

    def uses_muon(self, name: str, parameter: Tensor) -> bool:
        """Matrices of blocks."""
        return in_blocks(name, parameter)

    def save(self, folder: Path, codec: TextCodec) -> None:
        """See ``MaskedVectorTransformer``."""
        self.network.save(folder, codec)


def jittered(vectors_BnE: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Vectors with noise, so that the transformer forgives its own errors."""
    noise = torch.randn(vectors_BnE.shape, generator=generator, device=vectors_BnE.device)
    return vectors_BnE + deviation * noise


def prompt(corpus: Corpus, index: int, rng: np.random.Generator) -> Sequence[int]:
    """The ids of one of a picture's captions; none where it has none."""
    caption, language = corpus.caption(index, rng, other=True)
    return corpus.encode(corpus.request(caption, language, rng)) if caption else []


def mask(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) bool: which cells are masked.

    Their share is a normal number around 1, cut to ``LEAST_MASKED`` and 1 (arXiv:2406.11838, section 4.2).
    """
    lowest = NORMAL.cdf((LEAST_MASKED - 1) / SPREAD)
    share = 1 + SPREAD * NORMAL.inv_cdf(lowest + (0.5 - lowest) * rng.random())
    masked = np.zeros(count, bool)
    masked[rng.permutation(count)[: int(np.ceil(share * count))]] = True
    return masked


def drafts_of(recipe: Any, vocabulary: Vocabulary, space: Space) -> Drafts:
    """What a recipe drafts with."""
    return Shuffled(recipe, vocabulary, space) if recipe.order == "random" else Raster(recipe, vocabulary, space)
