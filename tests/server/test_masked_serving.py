"""A model that drafts by masked diffusion, served by the same worker: pictures, progress, partial images, refusals."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from running import serving

from lantu.pipeline import Model
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def masked(masked_model):
    with serving(masked_model) as running:
        yield running


def pixels(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_a_served_picture_is_the_same_as_offline(masked, masked_model):
    *steps, last = masked.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 3})
    picture = Model.load(masked_model, "cpu").draw("a cat", seed=3)
    assert last["type"] == "completed"
    assert last["picture"]["codes"] == picture.codes.tolist()
    assert np.array_equal(pixels(last["picture"]["b64_json"]), np.asarray(picture.image))
    codes = [step for step in steps if step["type"] == "codes"]
    assert [step["done"] for step in codes] == [4, 12]  # after each row that a pass completes
    for step in codes:
        grid = np.array(step["codes"])
        assert (grid != MASK_CODE).sum() == step["done"] < step["total"] == 16
        assert np.array_equal(grid[grid != MASK_CODE], picture.codes[grid != MASK_CODE])
        assert step["preview"]


def test_partial_images_are_streamed(masked):
    body = {"prompt": "a cat", "seed": 3, "stream": True, "partial_images": 2}
    answer = masked.post("/v1/images/generations", json=body)
    assert answer.status_code == 200
    assert 1 <= answer.text.count("image_generation.partial_image\n") <= 2
    assert answer.text.count("event: image_generation.completed") == 1


def test_missing_abilities_are_refused(masked):
    assert masked.client.get("/v1/lantu/info").json()["learnt"] == ["filling"]
    for encoded in (False, True):
        answer = masked.post("/v1/lantu/caption", json={"codes": [[0] * 4] * 4, "encoded": encoded})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "not_learnt"
