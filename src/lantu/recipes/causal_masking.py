"""The objective of CM3 (arXiv:2201.07520) and of RA-CM3 and CM3Leon after found documents.

A document's span is cut out and moved to its end, so that a causal model sees both sides of it:

    drawing     text picture                             the picture is the span
    captioning  picture <en|zh> text                     the text is the span
    filling     text <edit> picture with holes, codes    a run of codes, in reading order
    gap         text <hole> text picture <en|zh> words   a run of words

Found documents come first: captions and their pictures, in the order of the document itself. They are learnt too, with
a smaller weight (arXiv:2211.12561, section 3.3).
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.data.packing import cuts, one_each
from lantu.recipes.corpus import Corpus
from lantu.recipes.documents import Documents
from lantu.recipes.language_task import Objective
from lantu.recipes.memory import Memory
from lantu.recipes.next_token import GROUPS, next_token_losses, split_losses
from lantu.recipes.trained_parts import trained_parts
from lantu.tokens.document import LANGUAGES
from lantu.training.task import Metrics
from lantu.types import CodeGrid, Document, Gap, MaskedGrid, Part

WORD = re.compile(r"\s*[^\s\u2e80-\u9fff]+|\s*[\u2e80-\u9fff]")  # with the space before it; Chinese by characters


@dataclass(frozen=True)
class Retrieved(Document):
    """A document after found ones.

    Attributes:
        found: parts that belong to these.
    """

    found: int = 0


@dataclass(frozen=True)
class Spans:
    """Shares of the documents by what is moved to their end; the rest are drawings of their whole caption.

    Attributes:
        captioning: the caption.
        dropped: no caption, and nothing found: the unconditional drawings that guidance compares with.
        runs: a run of the picture's codes.
        gaps: a run of the caption's words.
    """

    captioning: float
    dropped: float
    runs: float
    gaps: float


class RetrievedDocuments:
    """Causally masked documents of pictures and captions, most of them after others that were found for them.

    Args:
        memory: None for no found documents.
        most: found documents; their number is 1 to ``most``, each as often.
        alone: share of the documents without any, so that the model also draws from words alone.
    """

    def __init__(self, corpus: Corpus, spans: Spans, memory: Memory | None, most: int, alone: float):
        self.corpus, self.spans, self.memory, self.most, self.alone = corpus, spans, memory, most, alone

    def document(self, index: int, position: int) -> Document:
        """A document of the picture ``index``, as the position's randomness gives it."""
        rng = np.random.default_rng((self.corpus.seed, 7, position))
        grid, spans = CodeGrid(self.corpus.grids[index]), self.spans
        caption, language = self.corpus.caption(index, rng, other=True)
        chance, writes = rng.random(), language in LANGUAGES
        if not caption or chance < spans.dropped:
            return Retrieved((grid,))
        chance -= spans.dropped
        if chance < spans.captioning and writes:
            before = self.before(index, language, True, rng)
            return Retrieved((*before, grid, caption), language, len(before))
        chance -= spans.captioning
        if 0 <= chance < spans.gaps and writes and (cut := gap(caption, rng)):
            # Alone: the token of the words behind the picture would stand before found captions as well.
            start, words, end = cut
            return Retrieved((start, Gap(), end, grid, words), language)
        chance -= spans.gaps
        asked = self.corpus.request(caption, language, rng)
        before = self.before(index, language, False, rng)
        picture = MaskedGrid(grid.codes, self.run(grid.codes.shape, rng)) if 0 <= chance < spans.runs else grid
        # No language: where texts stand before their pictures, none has a token that says so (``example_ids``).
        return Retrieved((*before, asked, picture), "", len(before))

    def run(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """``run`` of whole cells."""
        depth = self.corpus.vocabulary.depth
        return run((shape[0], shape[1] // depth), rng).repeat(depth, 1)

    def before(self, index: int, language: str, captioning: bool, rng: np.random.Generator) -> list[Part]:
        """The parts of found documents, if there are to be any.

        Args:
            language: of their captions, where they have some in it.
            captioning: captions follow their pictures.
        """
        if self.memory is None or not self.most or rng.random() < self.alone:
            return []
        parts: list[Part] = []
        for other in self.memory.found(index, int(rng.integers(1, self.most + 1)), rng):
            if text := self.caption(other, language, rng):
                pair = (text, CodeGrid(self.corpus.grids[other]))
                parts += reversed(pair) if captioning else pair
        return parts

    def caption(self, index: int, language: str, rng: np.random.Generator) -> str:
        """A caption of a found picture, in the language of the document where it has one; "" if it has none."""
        texts = self.corpus.samples[index].captions.get(language)
        return texts[rng.integers(len(texts))] if texts else self.corpus.caption(index, rng)[0]


def gap(caption: str, rng: np.random.Generator) -> tuple[str, str, str] | tuple[()]:
    """A caption before, in and behind a run of its words, joined again by itself; () for one of less than two words."""
    words = WORD.findall(caption)
    if len(words) < 2:
        return ()
    length = int(rng.integers(1, len(words)))
    start = int(rng.integers(len(words) - length + 1))
    return "".join(words[:start]), "".join(words[start : start + length]), "".join(words[start + length :])


def run(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(h, w) bool: some cells in reading order, as many as any other number."""
    cells = int(np.prod(shape))
    length = int(rng.integers(1, cells + 1))
    start = int(rng.integers(cells - length + 1))
    holes = np.zeros(cells, bool)
    holes[start : start + length] = True
    return holes.reshape(shape)


class Weighted(Objective):
    """The next ids of documents, weighted.

    Of ``Retrieved`` documents everything is learnt but the places of holes: found ones with the weight ``found``. Of
    others only what the model has to produce (``trained_parts``).

    Args:
        found: weight of an id of a found document.
        words: weight of a text token of the other documents, relative to a code.
    """

    def __init__(self, model: nn.Module, corpus: Corpus, documents: Documents, found: float, words: float = 1.0):
        self.model, self.corpus, self.documents, self.found, self.words = model, corpus, documents, found, words

    def batch(self, indices: Sequence[int], first: int) -> list[dict[str, Tensor]]:
        """Groups of rows of about the same length, so that little is padding."""
        written = [
            self.weighted(self.documents.document(index, position)) for position, index in enumerate(indices, first)
        ]
        written.sort(key=lambda each: len(each[0]))
        edges = cuts([len(ids) for ids, _ in written], GROUPS)
        return [self.tensors(written[start:stop]) for start, stop in itertools.pairwise(edges)]

    def weighted(self, document: Document) -> tuple[np.ndarray, np.ndarray]:
        """(N) ids of a document, and (N) float32 what each weighs."""
        vocabulary = self.corpus.vocabulary
        ids, owners = self.corpus.ids(document)
        if not isinstance(document, Retrieved):
            weights = np.isin(owners, trained_parts(document)).astype(np.float32)
            return ids, np.where(ids < vocabulary.text_size, np.float32(self.words), np.float32(1)) * weights
        weights = np.ones(len(ids), np.float32)
        # Ids without a part are <bos> and, where a picture has holes, what is seen of it.
        weights[(owners >= 0) & (owners < document.found)] = self.found
        weights[ids == vocabulary.special("hole")] = 0
        return ids, weights

    def tensors(self, group: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Tensor]:
        """Rows as ``next_token_losses`` takes them, and (R, N) float32 what each id weighs."""
        packed = one_each([ids for ids, _ in group], self.corpus.vocabulary.special("pad"))
        weights = np.zeros(packed.ids.shape, np.float32)
        for row, (_, each) in enumerate(group):
            weights[row, : len(each)] = each
        rows = {name: torch.from_numpy(value) for name, value in packed._asdict().items()}
        return rows | {"weights": torch.from_numpy(weights)}

    def loss(self, batch: Any, step: int) -> tuple[Tensor, Metrics]:
        """The weighted mean; logs the means over codes and over text of full weight, and over the found documents."""
        of_groups = []
        for rows in batch:
            weights = rows["weights"]
            inputs = {name: rows[name] for name in ("ids", "positions", "segments")}
            losses, targets = next_token_losses(self.model, **inputs, learnt=weights > 0)
            predicted = F.pad(weights[:, 1:], (0, 1))  # what the id that each position predicts weighs
            of_groups.append([each[targets >= 0] for each in (losses, targets, predicted)])
        losses, targets, weights = (torch.cat(each) for each in zip(*of_groups, strict=True))
        own = weights >= 1
        metrics = split_losses(losses[own], targets[own], self.corpus.vocabulary)
        if bool((~own).any()):
            metrics["found"] = losses[~own].detach().mean()
        return (weights * losses).sum() / weights.sum(), metrics
