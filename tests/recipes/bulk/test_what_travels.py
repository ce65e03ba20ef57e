"""What travels between the processes of a cluster, without one: jobs, results and errors in columns of Arrow."""

import json

import jobs_on_ray
import pytest

from lantu.errors import DataError, ModelError
from lantu.recipes.bulk.cluster import _Worker, as_text, from_text
from lantu.recipes.bulk.tokenizing import encoding

pyarrow = pytest.importorskip("pyarrow")


def done(worker, order, *jobs):
    """The rows that a worker makes of some jobs."""
    work = f"{jobs_on_ray.zeros.__module__}:{jobs_on_ray.zeros.__qualname__}"
    rows = [
        {"work": work, "order": json.dumps(order), "number": 5 + number, "job": json.dumps(job)}
        for number, job in enumerate(jobs)
    ]
    return worker(pyarrow.Table.from_pylist(rows)).to_pylist()


def test_no_byte_is_lost():
    worker = _Worker()
    assert done(worker, {"ends": 2}, [0, 1], [0, 0]) == [
        {"number": 5, "result": b"\0\0\0", "problem": ""},
        {"number": 6, "result": b"\0\0", "problem": ""},
    ]
    assert done(worker, {"ends": 9}, [0, 0])[0]["result"] == b"\0\0"  # the order is read once


def test_what_a_job_raises_is_told_and_the_next_is_done():
    failed, fine = done(_Worker(), {"ends": 1}, [7, 0], [8, 0])
    assert (failed["result"], fine["result"], fine["problem"]) == (b"", b"\0", "")
    problem = from_text(failed["problem"])
    assert isinstance(problem, DataError)
    assert str(problem) == "seven is odd: take eight"
    assert "jobs_on_ray.py" in problem.__notes__[0]
    (broken,) = done(_Worker(), {}, [1, 1])
    assert str(from_text(broken["problem"])) == "KeyError: 'ends'"


@pytest.mark.parametrize(
    "problem", [OSError(2, "no \udc80 here"), AttributeError("x" * 10_000), DataError("so", "that")]
)
def test_any_exception_is_text(problem):
    told = as_text(problem)
    told.encode()
    assert type(from_text(told)) is (DataError if isinstance(problem, DataError) else RuntimeError)


class NeedsTwo(Exception):
    """Nobody else can make it of its words."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_exception_keeps_its_words():
    assert str(from_text(as_text(NeedsTwo(1, 2)))) == "NeedsTwo: 1 and 2"


def test_another_tokenizer_on_a_worker_is_one_line(tiny_model, tmp_path):
    order = {"data": str(tmp_path), "split": "train", "tokenizer": str(tiny_model / "tokenizer"), "name": "another"}
    with pytest.raises(ModelError, match="another image tokenizer on a worker"):
        encoding(order | {"batch": 1, "row": [4, 4], "device": "cpu"})
