"""A model with an upscaler, served: large pictures out, and former ones, half as large, still come in."""

import base64
import io
import shutil

import pytest
import torch
from PIL import Image
from running import png, serving

from lantu.models.lantu.upscaler.config import UpscalerConfig
from lantu.models.lantu.upscaler.network import Upscaler


@pytest.fixture(scope="module")
def served(tiny_model, tmp_path_factory):
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / "upscaled")
    upscaler = Upscaler(UpscalerConfig(width=16, layers=1))
    for parameter in upscaler.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    upscaler.save(folder / "upscaler")
    with serving(folder) as running:
        yield running


def decoded(answer):
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"])))


def test_a_drawing_is_large(served):
    assert decoded(served.post("/v1/images/generations", json={"prompt": "a cat", "seed": 1})).size == (64, 64)
    assert served.client.get("/v1/lantu/info").json()["patch"] == 16


@pytest.mark.parametrize("size", ["32x32", "64x64", "1:1", "auto"])
def test_former_sizes_are_asked_for(served, red, mask, size):
    answer = served.post("/v1/images/generations", json={"prompt": "a cat", "seed": 1, "size": size})
    assert decoded(answer).size == (64, 64)
    assert answer.json()["size"] == "64x64"
    files = {"image": ("a.png", red), "mask": ("b.png", mask)}
    assert decoded(served.post("/v1/images/edits", files=files, data={"prompt": "a dog", "size": size})).size == (
        64,
        64,
    )


@pytest.mark.parametrize("side", [32, 64])
def test_pictures_of_both_sizes_are_edited_and_tokenized(served, red, mask, side):
    picture = red if side == 32 else png(Image.new("RGB", (64, 64), "red"))
    files = {"image": ("a.png", picture), "mask": ("b.png", mask)}  # half as large as the finished picture
    assert decoded(served.post("/v1/images/edits", files=files, data={"prompt": "a dog"})).size == (64, 64)
    codes = served.post("/v1/lantu/tokenize", files={"image": ("a.png", picture)}).json()["codes"]
    assert [len(codes), len(codes[0])] == [4, 4]


def test_other_sizes_are_refused(served, mask):
    picture = png(Image.new("RGB", (48, 48), "red"))
    files = {"image": ("a.png", picture), "mask": ("b.png", mask)}
    answer = served.post("/v1/images/edits", files=files, data={"prompt": "a dog"})
    assert answer.status_code == 400
    assert "48x48 pixels, but the model reads 64x64" in answer.text
