"""What a worker on a cluster gives back where a job fails."""

import pickle

import pytest

from lantu.errors import DataError
from lantu.recipes.bulk.cluster import _Worker


class NeedsTwo(Exception):
    """It can be pickled, but not unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def answer(kind, *words):
    def make():
        def do(job):
            raise kind(*words)

        return do

    cloudpickle = pytest.importorskip("ray.cloudpickle")
    batch = {"make": [cloudpickle.dumps(make)], "job": [pickle.dumps(1)]}
    return pickle.loads(_Worker()(batch)["result"][0])


def test_errors_come_back_whole():
    found = answer(DataError, "no prompt", "write one")
    assert (type(found), found.message, found.hint) == (DataError, "no prompt", "write one")


def test_an_error_that_cannot_be_unpickled_keeps_its_words():
    found = answer(NeedsTwo, 1, 2)
    assert (type(found), str(found)) == (RuntimeError, "NeedsTwo: 1 and 2")


def test_another_tokenizer_on_a_worker_is_one_line(tiny_model, tmp_path):
    from lantu.errors import ModelError
    from lantu.recipes.bulk.tokenizing import _encoding

    with pytest.raises(ModelError, match="another image tokenizer on a worker"):
        _encoding(tmp_path, "train", tiny_model / "tokenizer", "another", 1, (4, 4), "cpu")
