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
