"""Pixel autoregression, trained in seconds: it learns, resumes, is opened, draws, edits, captions, is served."""

import json

import numpy as np
import pytest
from rival_checks import drawn_alike, losses, resumed_alike, served_alike

import lantu
from lantu.errors import LantuError
from lantu.recipes import train
from lantu.recipes.rivals.assembling import assemble_rival

SETTINGS = ["loop.steps=60", "loop.sample_every=0", "loop.validate_every=30"]


@pytest.fixture(scope="module")
def run(captioned_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "pixels"
    train("rival", "pixel-ar-debug", captioned_data, out, SETTINGS, progress=False, device="cpu")
    return out


def test_it_learns_and_knows_its_cost(run):
    assert losses(run)[-1] < 0.5 * losses(run)[0]
    index = json.loads((run / "model/model_index.json").read_text())
    language = json.loads((run / "model/language/config.json").read_text())
    assert language["architectures"] == ["Qwen3ForCausalLM"]
    assert index["training"]["flops_per_sample"] > 6 * 64 * 8 * 8 * 1000


def test_resumed_is_unbroken(captioned_data, tmp_path):
    resumed_alike("pixel-ar-debug", captioned_data, tmp_path, [])


def test_it_draws_what_it_is_asked_for(run):
    model = lantu.load(run / "model", "cpu")
    for name, colour in (("cat", 0), ("dog", 2)):
        picture = model.draw(f"a {name}", seed=1)
        assert picture.codes.shape == (8, 8)
        assert picture.image.size == (32, 32)
        assert np.asarray(picture.image).mean((0, 1)).argmax() == colour
    assert model.info()["ids"] == 64
    drawn_alike(run / "model", "a cat")


def test_it_captions_edits_and_shows_previews(run):
    model = lantu.load(run / "model", "cpu")
    picture = model.draw("a dog", seed=2)
    assert any(thing in model.caption(picture) for thing in ("cat", "dog"))
    edited = model.edit(picture, "a dog", box=(0, 0, 16, 16), seed=3)
    assert (edited.codes[4:] == picture.codes[4:]).all()
    *steps, last = model.stream("a dog", seed=2)
    assert len(steps) == 7
    assert np.array_equal(np.asarray(last.preview), np.asarray(picture.image))
    with pytest.raises(LantuError):
        model.draw("a dog", refine=0.5)


def test_it_is_served(run):
    served_alike(run / "model", "a cat")


def test_an_assembled_one_has_a_card(run, captioned_data, tmp_path):
    folder = assemble_rival(run, tmp_path / "mine", licence="MIT", data=captioned_data, draw={"temperature": 0.5})
    assert folder.settings.temperature == 0.5
    card = (tmp_path / "mine/README.md").read_text()
    assert "iGPT" in card
    assert "60 steps" in card
    assert "FLOP" in card
    assert lantu.load(tmp_path / "mine", "cpu").draw("a cat", seed=0).unknown_words == ()
    again = assemble_rival(tmp_path / "mine", tmp_path / "again")
    assert again.digest == folder.digest
