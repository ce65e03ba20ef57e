"""What is found for each picture of a training set: only what has something in common with it."""

import sys

import numpy as np
import pytest

from lantu.data.memory_bank import embed, rarity, unit
from lantu.data.neighbours import NOTHING, Asking, neighbours, searcher
from lantu.types import Sample

CAPTIONS = [["a red cat"], ["a blue dog"], [], ["a red cat on the left"], ["three green birds"], ["a blue dog runs"]]


@pytest.mark.parametrize("library", ["faiss", "NumPy"])
def test_a_picture_without_captions_finds_nothing_by_words(library, monkeypatch):
    if library == "NumPy":
        monkeypatch.setitem(sys.modules, "faiss", None)
    else:
        pytest.importorskip("faiss")
    rare_D = rarity(CAPTIONS)
    documents_MD = np.stack([unit(embed(texts or [""], rare_D).mean(0)) for texts in CAPTIONS])
    samples = [Sample(str(number), "picture", {"en": tuple(texts)}) for number, texts in enumerate(CAPTIONS)]
    grids = np.arange(6 * 4).reshape(6, 2, 2)
    found = neighbours(documents_MD, None, rare_D, samples, grids, Asking(ways=1, forgotten=0.0, nearest=0.99))
    assert (found[2] == NOTHING).all()
    assert found[0, 0, 0] == 3
    assert found[1, 0, 0] == 5
    assert (found == 2).sum() == 0
    nearest = searcher(documents_MD)(embed(["a dog"], rare_D))
    assert 2 not in nearest
    assert nearest.shape == (1, 6)
