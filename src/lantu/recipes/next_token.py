"""Next-token prediction: rows of documents, and the cross-entropy of their ids.

Shapes: R rows, N ids a row, V ids, n = h·w codes of a picture.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lantu.data.packing import apart, block_causal_mask, cuts, one_each, pack
from lantu.recipes.corpus import Corpus
from lantu.recipes.documents import Captioned, Documents
from lantu.recipes.language_task import LanguageSetup, Objective
from lantu.recipes.trained_parts import trained_parts
from lantu.tokens.vocabulary import Vocabulary
from lantu.training.task import Metrics

# Documents of about the same length form a group, which is one pass through the network. The number of groups never
# changes: processes that share the network's weights must all make the same number of passes.
GROUPS = 4


class NextToken(Objective):
    """Every id of a document is predicted from those before it.

    Args:
        row: ids in a packed row; 0 gives each document a row of its own, see ``lantu.data.packing.apart``.
    """

    def __init__(self, model: nn.Module, corpus: Corpus, documents: Documents, row: int):
        self.model, self.corpus, self.documents, self.row = model, corpus, documents, row

    def batch(self, indices: Sequence[int], first: int) -> dict[str, Tensor]:
        """ids, positions and segments, (R, N) int64."""
        documents = [self.documents.document(index, position) for position, index in enumerate(indices, first)]
        ids = [self.corpus.ids(document)[0] for document in documents]
        pad = self.corpus.vocabulary.special("pad")
        packed = pack(ids, self.row, pad) if self.row else apart(ids, pad)
        return {name: torch.from_numpy(value) for name, value in packed._asdict().items()}

    def loss(self, batch: Any, step: int) -> tuple[Tensor, Metrics]:
        """The mean over all ids; logs the means over codes and over text."""
        losses, targets = next_token_losses(self.model, **batch)
        loss = losses.sum() / (targets >= 0).sum()
        return loss, split_losses(losses, targets, self.corpus.vocabulary)


def captioned(setup: LanguageSetup) -> Callable[[Corpus], NextToken]:
    """What is measured on validation pictures: captions and codes, in both directions, none dropped."""
    recipe = setup.recipe
    return lambda corpus: NextToken(setup.model, corpus, Captioned(corpus, recipe.captioning, 0.0), recipe.row)


class Replies(Objective):
    """Only the parts of a document that the model has to produce are predicted; see ``trained_parts``.

    Args:
        words: weight of a text token relative to a code, for answers are short and pictures long.
    """

    def __init__(self, model: nn.Module, corpus: Corpus, documents: Documents, words: float):
        self.model, self.corpus, self.documents, self.words = model, corpus, documents, words

    def batch(self, indices: Sequence[int], first: int) -> list[dict[str, Tensor]]:
        """Groups of rows of about the same length, so that little is padding."""
        written = []
        for position, index in enumerate(indices, first):
            document = self.documents.document(index, position)
            ids, owners = self.corpus.ids(document)
            written.append((ids, np.isin(owners, trained_parts(document))))
        written.sort(key=lambda each: len(each[0]))
        edges = cuts([len(ids) for ids, _ in written], GROUPS)
        return [self.tensors(written[start:stop]) for start, stop in itertools.pairwise(edges)]

    def tensors(self, group: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Tensor]:
        """Rows as ``next_token_losses`` takes them, and which of their ids are learnt."""
        packed = one_each([ids for ids, _ in group], self.corpus.vocabulary.special("pad"))
        rows = {name: torch.from_numpy(value) for name, value in packed._asdict().items()}
        learnt = one_each([learnt for _, learnt in group], 0).ids.astype(bool)
        return rows | {"learnt": torch.from_numpy(learnt)}

    def loss(self, batch: Any, step: int) -> tuple[Tensor, Metrics]:
        """The weighted mean over the ids that are learnt; logs the means over codes and over text."""
        of_groups = []
        for rows in batch:
            losses, targets = next_token_losses(self.model, **rows)
            of_groups.append((losses[targets >= 0], targets[targets >= 0]))
        losses, targets = (torch.cat(each) for each in zip(*of_groups, strict=True))
        weights = torch.where(targets < self.corpus.vocabulary.text_size, self.words, 1.0)
        metrics = split_losses(losses, targets, self.corpus.vocabulary)
        return (weights * losses).sum() / weights.sum(), metrics


@torch.no_grad()
def split_losses(losses: Tensor, targets: Tensor, vocabulary: Vocabulary) -> Metrics:
    """The mean loss of codes, and of text, of what there is; negative targets don't count."""
    codes = vocabulary.is_code(targets)
    text = (targets >= 0) & (targets < vocabulary.text_size)
    return {name: losses[kind].mean() for name, kind in (("codes", codes), ("text", text)) if bool(kind.any())}


def next_token_losses(
    language: nn.Module, ids: Tensor, positions: Tensor, segments: Tensor, learnt: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Plain next-token cross-entropy within each document.

    Args:
        learnt: (R, N) bool, the ids that are predicted; all if not given. Logits, a third of a small model's work, are
            computed only in columns where some row has such an id.

    Returns:
        each token's loss, and the id that it predicts, both (R, N); 0 and -100 where no id is predicted.
    """
    # Where each row holds one document, the causal mask is enough: what follows a document is padding.
    packed = bool((segments.amax(1) != segments[:, 0]).any())
    mask = block_causal_mask(segments) if packed else None
    follows = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] >= 0)
    if learnt is not None:
        follows &= learnt[:, 1:]
    targets = F.pad(torch.where(follows, ids[:, 1:], -100), (0, 1), value=-100)
    columns = follows.any(0).nonzero()[:, 0]
    logits = language(
        input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False, logits_to_keep=columns
    ).logits
    losses = torch.zeros(targets.shape, device=logits.device)
    kept = F.cross_entropy(logits.flatten(0, 1).float(), targets[:, columns].flatten(), reduction="none")
    return losses.index_copy(1, columns, kept.view(len(ids), -1)), targets


class PrefixedCodes(NamedTuple):
    """Pictures, each after a prefix: ids (R, N) int64, and (R) the index in each row of its first code."""

    ids: Tensor
    starts: Tensor


def prefixed_codes(prefixes: Sequence[Sequence[int]], codes_Rn: np.ndarray, pad: int) -> PrefixedCodes:
    """Rows of a prefix and a picture's codes, without the last code: nothing is predicted from it."""
    rows = [np.concatenate([prefix, codes[:-1]]) for prefix, codes in zip(prefixes, codes_Rn, strict=True)]
    starts = torch.tensor([len(prefix) for prefix in prefixes])
    return PrefixedCodes(torch.from_numpy(one_each(rows, pad).ids), starts)


class Lesson(NamedTuple):
    """Rows of pictures after their prefixes, and the codes (R, n) to predict."""

    rows: PrefixedCodes
    codes: Tensor


def lesson(prefixes: Sequence[Sequence[int]], codes: Sequence[np.ndarray], vocabulary: Vocabulary) -> Lesson:
    """Pictures, each given by its codes (n) int64 and after a prefix."""
    codes_Rn = np.stack(codes)
    rows = prefixed_codes(prefixes, vocabulary.codes_to_ids(codes_Rn), vocabulary.special("pad"))
    return Lesson(rows, torch.from_numpy(codes_Rn))


def code_log_probabilities(model: nn.Module, lesson: Lesson, ids: range) -> Tensor:
    """The log-probability of each code of a lesson, among all ids: (R, n) float32."""
    log_RnK = code_logits(model, lesson.rows, lesson.codes.shape[1], ids, normalised=True)
    return log_RnK.gather(-1, lesson.codes[..., None])[..., 0]


def code_logits(model: nn.Module, rows: PrefixedCodes, count: int, ids: range, normalised: bool = False) -> Tensor:
    """A model's logits at each code of each row: (R, n, ids) float32.

    Args:
        count: n, codes of a picture.
        ids: those whose logits are wanted.
        normalised: as log-probabilities among all ids.
    """
    first = int(rows.starts.min()) - 1
    kept = torch.arange(first, rows.ids.shape[1], device=rows.ids.device)
    logits_RNV = model(input_ids=rows.ids, use_cache=False, logits_to_keep=kept).logits
    places_Rn = rows.starts[:, None] - 1 - first + torch.arange(count, device=rows.ids.device)
    logits_RnV = logits_RNV[torch.arange(len(places_Rn))[:, None], places_Rn].float()
    chosen = logits_RnV[..., ids.start : ids.stop]
    return chosen - logits_RnV.logsumexp(-1, keepdim=True) if normalised else chosen
