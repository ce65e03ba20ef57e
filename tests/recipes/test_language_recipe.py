"""Documents of the language recipe, and its loss."""

import numpy as np
import pytest
import torch

from lantu.data.packing import pack
from lantu.language.model import make
from lantu.recipes.language import next_token_losses, one_each
from lantu.vocabulary import Vocabulary

VOCABULARY = Vocabulary(300, 16)


@pytest.fixture(scope="module")
def language():
    return make(VOCABULARY, width=32, layers=2, heads=2, grid=(2, 2)).eval()


def documents():
    rng = np.random.default_rng(0)
    return [rng.integers(0, VOCABULARY.size, length).astype(np.int32) for length in (9, 5, 7, 12)]


def tensors(packed):
    return {name: torch.from_numpy(value) for name, value in packed._asdict().items()}


def test_packed_and_unpacked_documents_have_the_same_losses(language):
    pad = VOCABULARY.mark("pad")
    with torch.no_grad():
        apart, targets_apart = next_token_losses(language, **tensors(one_each(documents(), pad)))
        together, targets_together = next_token_losses(language, **tensors(pack(documents(), 24, pad)))
    assert (targets_apart >= 0).sum() == (targets_together >= 0).sum() == sum(len(d) - 1 for d in documents())
    torch.testing.assert_close(apart.sort(descending=True)[0].sum(), together.sum())
    torch.testing.assert_close(
        apart[targets_apart >= 0].sort()[0], together[targets_together >= 0].sort()[0], atol=1e-5, rtol=1e-4
    )


def test_it_is_the_loss_that_transformers_computes(language):
    document = documents()[0]
    ids = torch.from_numpy(document.astype(np.int64))[None]
    with torch.no_grad():
        expected = language(input_ids=ids, labels=ids).loss
        losses, targets = next_token_losses(language, **tensors(one_each([document], 0)))
    torch.testing.assert_close(losses.sum() / (targets >= 0).sum(), expected)


def test_losses_of_learnt_ids_are_those_of_all(language):
    rows = tensors(one_each(documents(), VOCABULARY.mark("pad")))
    learnt = torch.rand(rows["ids"].shape, generator=torch.Generator().manual_seed(0)) < 0.3
    with torch.no_grad():
        every, _ = next_token_losses(language, **rows)
        some, targets = next_token_losses(language, **rows, learnt=learnt)
    foretold = (learnt & (rows["segments"] >= 0)).roll(-1, 1)
    foretold[:, -1] = False  # what rolled round from the front: nothing comes before it
    assert torch.equal(targets >= 0, foretold)
    torch.testing.assert_close(some[foretold], every[foretold])
    assert not some[~foretold].any()
