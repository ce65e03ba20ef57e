"""A directory that is ready for the hub: the model, a card that huggingface_hub reads, sample pictures."""

import json
import shutil

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from lantu.images import metadata
from lantu.models import hub
from lantu.models.lantu.export.card import card, licence_of

FACTS = {"name": "tiny", "pixels": "32x32", "ids": 16, "license": "Apache-2.0"}


@pytest.fixture
def model(tiny_model, tmp_path):
    """With what its makers say of it."""
    folder = shutil.copytree(tiny_model, tmp_path / "tiny")
    index = json.loads((folder / "model_index.json").read_text())
    told = {
        "_class_name": "lantu.Model",
        "license": "Apache-2.0",
        "scores": {"pairs": {"score": 0.875, "ceiling": 1.0, "n": 128}, "single": 0.93},
        "data": {"styles": ["noto", "twemoji"]},
    }
    (folder / "model_index.json").write_text(json.dumps(index | told))
    card = "---\nlicense: old\n---\n\n# tiny\n\nDraws noise.\n\n## Pictures\n\nNone yet.\n"
    (folder / "README.md").write_text(card)
    (folder / "notes.txt").write_text("not of the model")
    return folder


def test_the_directory_opens_and_its_card_is_read(lantu, model, tmp_path, monkeypatch):
    code, out, err = lantu("export", "hub", "--model", model, "-o", "made", "--prompt", "a cat", "--prompt", "狗")
    assert (code, err) == (0, "")
    assert out.startswith("made  ")
    made = tmp_path / "made"
    assert hub.find(made).check().digest == hub.find(model).digest
    assert not (made / "notes.txt").exists()
    assert "*.safetensors filter=lfs" in (made / ".gitattributes").read_text()
    read = ModelCard.load(made / "README.md")
    assert read.data.license == "apache-2.0"
    assert (read.data.pipeline_tag, read.data.library_name) == ("text-to-image", "lantu")
    assert read.data.language == ["en", "zh"]
    assert {each.metric_name: each.metric_value for each in read.data.eval_results} == {"pairs": 0.875, "single": 0.93}
    assert read.text.count("# tiny\n\nDraws noise.") == 1
    assert "license: old" not in str(read)
    assert "![狗](samples/2.png) | 狗 | 7" in read.text
    assert "Twemoji, Twitter, Inc and other contributors, https://github.com/jdecked/twemoji (CC-BY-4.0)" in read.text
    lantu("draw", "狗", "--model", made, "--seed", 7, "-o", "again.png")
    pictures = [np.asarray(Image.open(path)) for path in (made / "samples" / "2.png", tmp_path / "again.png")]
    np.testing.assert_array_equal(*pictures)
    assert metadata.read_picture(made / "samples" / "1.png").prompt == "a cat"
    assert lantu("export", "hub", "--model", made, "-o", "made again", "--prompt", "a cat")[0] == 0
    again = ModelCard.load(tmp_path / "made again" / "README.md")
    assert again.text.count("## Draw with it") == 1  # what an earlier export added is made anew
    assert again.text.count("## Pictures\n\nNone yet.") == 1  # what the makers wrote stays


def test_only_its_own_directory_is_replaced(lantu, model, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("mine")
    code, _, err = lantu("export", "hub", "--model", model, "-o", "made", "--prompt", "a cat")
    assert (code, err.count("\n")) == (2, 1)
    assert (tmp_path / "made" / "mine.txt").read_text() == "mine"


def test_others_models_are_refused(lantu, janus):
    code, _, err = lantu("export", "hub", "--model", janus, "-o", "made")
    assert (code, err.count("\n")) == (2, 1)
    assert "its publisher's directory is what belongs on the hub" in err


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Apache-2.0", ("apache-2.0", None)),
        ("CC-BY-4.0", ("cc-by-4.0", None)),
        ("none", ("other", "none")),
        ("My own, strange licence", ("other", "my-own-strange-licence")),
        ("", ("other", "unknown")),
    ],
)
def test_licences_as_the_hub_names_them(name, wanted):
    assert licence_of(name) == wanted


def test_a_card_from_nothing():
    read = ModelCard(card(FACTS, "", []))
    assert read.text.strip().startswith("# tiny\n\n<!-- written by lantu export hub -->\n\n## Draw with it")
    assert read.data.eval_results is None
    assert "## Pictures" not in read.text
    assert "## Attribution" not in read.text
