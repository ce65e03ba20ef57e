"""A server finds pictures for a prompt as the library does."""

import pytest
from running import serving

from lantu.pipeline import Model


@pytest.fixture(scope="module")
def served(remembering_model):
    with serving(remembering_model) as running:
        yield running


def test_drawings_with_found_pictures_are_the_same_as_offline(served, remembering_model):
    alone = Model.load(remembering_model, "cpu")
    for shots in (0, 2):
        body = {"prompt": "a red cat", "seed": 5, "shots": shots}
        events = served.events("/v1/lantu/draw", json=body)
        assert events[-1]["picture"]["codes"] == alone.draw("a red cat", seed=5, shots=shots).codes.tolist()
    assert "shots" in served.client.get("/v1/lantu/info").json()["dials"]


def test_a_model_without_a_bank_refuses_to_find(server):
    answer = server.post("/v1/lantu/draw", json={"prompt": "a cat", "shots": 2})
    assert (answer.status_code, "no memory bank" in answer.text) == (400, True)
    assert "shots" not in server.client.get("/v1/lantu/info").json()["dials"]
