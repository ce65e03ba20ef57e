"""A server of models whose image codes are ids of the text's own vocabulary."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from running import serving

from lantu.pipeline import Model

PROMPT = "the blue dog on the left"


@pytest.fixture(scope="module", params=["emu3", "plain", "tar"])
def folder(request):
    return request.getfixturevalue(request.param)


def test_drawings_are_the_same_as_offline(folder, monkeypatch):
    """Pictures, codes and progress, which counts codes and no ends of rows."""
    monkeypatch.setenv("LANTU_ACCEPT", "tar")
    wanted = Model.load(folder, "cpu").draw(PROMPT, temperature=0, seed=5)
    rows, columns = wanted.codes.shape
    with serving(folder) as server:
        body = {"prompt": PROMPT, "temperature": 0, "seed": 5, "response_format": "b64_json"}
        (answer,) = server.post("/v1/images/generations", json=body).json()["data"]
        found = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["b64_json"]))))
        np.testing.assert_array_equal(found, np.asarray(wanted.image))
        events = server.events("/v1/lantu/draw", json={"prompt": PROMPT, "temperature": 0, "seed": 5})
        assert events[-1]["picture"]["codes"] == wanted.codes.tolist()
        done = [event["done"] for event in events if event["type"] == "codes"]
        assert done == [columns * row for row in range(1, rows)]
        refused = server.post("/v1/images/generations", json={"prompt": "a cat", "sampler": "heun"})
        assert refused.status_code == 400
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{answer['b64_json']}"}}
        content = [{"type": "text", "text": "describe this picture"}, picture]
        refused = server.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_learnt")
