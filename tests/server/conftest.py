"""Fixtures: a server of the tiny model, shared by all tests, and pictures to send to it."""

import json
import shutil

import pytest
from PIL import Image
from running import png, serving

from lantu.pipeline import Model


@pytest.fixture(scope="session")
def tiny_model(tiny_model, tmp_path_factory):
    """The tiny model, configured to draw large pictures too, so that tests can have work that takes a while."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(tiny_model, folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"sides": [8, 512]}))
    return folder


@pytest.fixture(scope="session")
def server(tiny_model):
    """A server shared by all tests, whose model has all abilities."""
    with serving(tiny_model, max_body=2_000_000) as running:
        yield running


@pytest.fixture(scope="session")
def plain_model(tiny_model, tmp_path_factory):
    """A model that draws and captions, and has no other abilities."""
    folder = tmp_path_factory.mktemp("models") / "plain"
    shutil.copytree(tiny_model, folder)
    path = folder / "language" / "config.json"
    config = json.loads(path.read_text())
    config["lantu"]["learnt"] = []
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def offline(tiny_model):
    """The same model without a server."""
    return Model.load(tiny_model, "cpu")


@pytest.fixture
def red():
    """A red PNG of the tiny model's size."""
    return png(Image.new("RGB", (32, 32), "red"))


@pytest.fixture
def mask():
    """A mask that is transparent in the upper left quarter."""
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 16, 16))
    return png(image)
