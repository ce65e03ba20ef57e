"""A server of a tiny GLM-Image draws what the library draws, and shows its small grid once."""

import base64
import io

import pytest
from PIL import Image
from running import serving

from lantu.models.glm_image.folder import PARAMS
from lantu.pipeline import Model

PROMPT = 'the red sign says "OPEN"'


@pytest.fixture(scope="module")
def served(glm_image):
    """A server whose default pictures, of which it draws one to warm up, are small and quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lantu.models.glm_image.folder.SIDE", 64)
        patch.setattr("lantu.models.glm_image.folder.PARAMS", PARAMS.change(steps=2))
        with serving(glm_image) as running:
            yield running


def opened(b64_json: str) -> Image.Image:
    """The picture of an answer."""
    return Image.open(io.BytesIO(base64.b64decode(b64_json)))


def test_drawings_are_the_same_as_offline(served, glm_image):
    alone = Model.load(glm_image, "cpu")
    expected = alone.draw(PROMPT, seed=5, temperature=0, steps=2, size=(96, 64))
    body = {"prompt": PROMPT, "seed": 5, "temperature": 0, "steps": 2}
    events = served.events("/v1/lantu/draw", json=body | {"size": "96x64", "previews": True})
    assert events[-1]["picture"]["codes"] == expected.codes.tolist()
    assert opened(events[-1]["picture"]["b64_json"]).tobytes() == expected.image.tobytes()
    previews = [event["preview"] for event in events if event["type"] == "codes"]
    assert sum(preview is not None for preview in previews) == 1  # of the small grid
    body = {"codes": expected.codes.tolist(), "seed": 5, "steps": 2}
    answer = served.post("/v1/lantu/render", json=body | {"prompt": PROMPT}).json()
    assert opened(answer["b64_json"]).tobytes() == expected.image.tobytes()
    answer = served.post("/v1/lantu/render", json=body).json()  # without the quoted text
    assert opened(answer["b64_json"]).tobytes() != expected.image.tobytes()


def test_what_it_can_do_is_told_and_the_rest_refused(served):
    info = served.client.get("/v1/lantu/info").json()
    assert (info["size"], info["grid"], info["learnt"]) == ([64, 64], [2, 2], [])
    assert {"steps", "render_guidance", "temperature"} <= set(info["dials"])
    assert not {"guidance", "contrast", "sampler"} & set(info["dials"])
    answer = served.post("/v1/lantu/draw", json={"prompt": "a cat", "size": "100x64"})
    assert (answer.status_code, "multiple of 32" in answer.text) == (400, True)


def test_a_chat_draws(served):
    body = {"messages": [{"role": "user", "content": "a red cat"}]}
    answer = served.post("/v1/chat/completions", json=body).json()
    (picture,) = answer["choices"][0]["message"]["images"]
    assert opened(picture["image_url"]["url"].partition(",")[2]).size == (64, 64)
    details = answer["usage"]["completion_tokens_details"]
    assert details == {"text_tokens": 0, "image_tokens": 256 + 4}  # of the small grid and of the picture's
