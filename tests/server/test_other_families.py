"""A server of a model of another family: a tiny Janus."""

import base64
import io

import pytest
from PIL import Image
from running import png, serving

from lantu.pipeline import Model


@pytest.fixture(scope="module")
def served(janus):
    with serving(janus) as running:
        yield running


@pytest.fixture(scope="module")
def alone(janus):
    return Model.load(janus, "cpu")


def test_drawings_are_the_same_as_offline(served, alone):
    expected = alone.draw("a red cat", seed=5, temperature=0)
    body = {"prompt": "a red cat", "seed": 5, "temperature": 0, "response_format": "b64_json"}
    (answer,) = served.post("/v1/images/generations", json=body).json()["data"]
    assert Image.open(io.BytesIO(base64.b64decode(answer["b64_json"]))).tobytes() == expected.image.tobytes()
    events = served.events("/v1/lantu/draw", json={"prompt": "a red cat", "seed": 5, "temperature": 0})
    assert events[-1]["picture"]["codes"] == expected.codes.tolist()
    progress = [event for event in events if event["type"] == "codes"]
    assert [event["done"] for event in progress] == [4, 8, 12]
    assert {event["preview"] for event in progress} == {None}  # the decoder needs every code


def test_info_and_models(served):
    info = served.client.get("/v1/lantu/info").json()
    assert (info["size"], info["grid"], info["codebook_size"]) == ([64, 64], [4, 4], 64)
    assert (info["learnt"], info["controls"]) == ([], [])
    assert "guidance" in info["dials"]
    assert not {"steps", "sampler"} & set(info["dials"])
    (model,) = served.client.get("/v1/models").json()["data"]
    assert model["id"] == "tiny-janus"
    assert model["created"] > 1_700_000_000


def test_captions(served, alone):
    picture = Image.new("RGB", (64, 64), "red")
    url = f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
    asked = [{"type": "text", "text": "describe this picture"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = served.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": asked}]})
    assert answer.status_code == 200, answer.text
    content = answer.json()["choices"][0]["message"]["content"]
    assert content
    assert content == alone.caption(picture)  # of its pixels, as offline
    short = {"messages": [{"role": "user", "content": asked}], "max_tokens": 2}
    (choice,) = served.post("/v1/chat/completions", json=short).json()["choices"]
    assert choice["finish_reason"] == "length"
    assert content.startswith(choice["message"]["content"] or "")


def test_codes_of_another_grid_are_refused(served):
    for route in ("render", "caption"):
        error = served.post(f"/v1/lantu/{route}", json={"codes": [[1, 2, 3]]})
        assert error.status_code == 400
        assert error.json()["error"]["message"].startswith("a grid of 3x1 codes, the model has 4x4")


WHITE = png(Image.new("RGB", (64, 64), "white"))
URL = f"data:image/png;base64,{base64.b64encode(WHITE).decode()}"
CODES = [[0] * 4] * 4


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/images/generations", {"prompt": "a cat", "size": "128x128"}),
        ("/v1/images/generations", {"prompt": "a cat", "steps": 3}),
        ("/v1/lantu/draw", {"prompt": "a cat", "control": {"picture": URL, "kind": "edges"}}),
        ("/v1/lantu/redraw", {"prompt": "a cat", "codes": CODES, "cells": [[0, 0]]}),
        ("/v1/lantu/instruct", {"instruction": "make it red", "codes": CODES}),
    ],
)
def test_what_the_model_cannot_do_is_refused(served, path, body):
    answer = served.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]


def test_edits_are_refused(served):
    files = {"image": ("a.png", WHITE, "image/png")}
    answer = served.post("/v1/images/edits", files=files, data={"prompt": "make it red"})
    assert answer.status_code == 400, answer.text
    assert "has not learnt talking" in answer.json()["error"]["message"]
