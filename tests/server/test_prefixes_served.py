"""A model of sequences, served: fewer codes, and previews from coarse to fine."""

import numpy as np
import pytest
from running import serving

from lantu.pipeline import Model
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def served(sequence_model):
    with serving(sequence_model) as running:
        yield running


def test_previews_are_sent_when_twice_as_many_codes_are_there(served, sequence_model):
    *steps, last = served.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 3})
    assert last["picture"]["codes"] == Model.load(sequence_model, "cpu").draw("a cat", seed=3).codes.tolist()
    codes = [step for step in steps if step["type"] == "codes"]
    assert [step["done"] for step in codes] == [2, 4, 6, 8, 10, 12, 14]
    assert [bool(step["preview"]) for step in codes] == [True, True, False, True, False, False, False]


def test_fewer_codes_are_drawn(served):
    info = served.client.get("/v1/lantu/info").json()
    assert info["codes"] == {"fewest": 2, "most": 16}
    assert "num_codes" in info["dials"]
    *_, last = served.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 3, "num_codes": 4})
    assert (np.array(last["picture"]["codes"]) != MASK_CODE).sum() == 4
    assert served.post("/v1/images/generations", json={"prompt": "a cat", "num_codes": 4}).status_code == 200


def test_too_many_codes_are_refused(served, server):
    answer = served.post("/v1/lantu/draw", json={"prompt": "a cat", "num_codes": 99})
    assert answer.status_code == 400
    assert "can't draw from 99 codes" in answer.text
    answer = server.post("/v1/images/generations", json={"prompt": "a cat", "num_codes": 4})
    assert answer.status_code == 400
    assert "has not learnt to draw from fewer" in answer.text


def test_the_first_codes_are_no_picture_to_change(served):
    answer = served.post("/v1/lantu/instruct", json={"codes": [[1, 2, 3]], "instruction": "make it red"})
    assert answer.status_code == 400
    assert served.post("/v1/lantu/render", json={"codes": [[1, 2, 3]]}).status_code == 200
