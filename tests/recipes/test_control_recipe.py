"""A control is trained beside a decoder that stays as it is."""

import numpy as np
import pytest
import torch
from test_mixture import data  # noqa: F401
from test_start import settings

from lantu import recipes
from lantu.decoder.control import Control
from lantu.decoder.model import PixelDecoder
from lantu.errors import RecipeError
from lantu.recipes import control
from lantu.recipes.assemble import assemble


def test_each_picture_comes_with_what_it_is_to_follow(tiny_model, data):  # noqa: F811
    recipe = settings(control.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}")
    task = control.Task(recipe, data)
    batch = task.batch(1, 12)
    assert batch.control.shape == batch.pixels.shape == (12, 3, 32, 32)
    for picture, kind in zip(batch.control, batch.kind.tolist(), strict=True):
        if kind < 2:
            assert set(picture.unique().tolist()) <= {-1.0, 1.0}
    assert len(set(batch.kind.tolist())) == 3
    assert torch.equal(task.batch(1, 12).control, batch.control)


def test_it_learns_and_the_decoder_stays(tiny_model, data, tmp_path):  # noqa: F811
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32", "loop.steps=12"]
    recipes.train("control", "debug", data, tmp_path / "run", changes, progress=False)
    made = Control.load(tmp_path / "run" / "model")
    assert made.out.weight.any()
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    folder = assemble(tiny_model, tiny_model, tiny_model, tmp_path / "made", control=tmp_path / "run")
    assert folder.controlled
    before = PixelDecoder.load(tiny_model / "decoder").state_dict()
    assert all(
        torch.equal(value, before[key])
        for key, value in PixelDecoder.load(folder.path / "decoder").state_dict().items()
    )


def test_it_needs_a_decoder(tiny_model, data):  # noqa: F811
    with pytest.raises(RecipeError, match="stands beside a decoder"):
        control.Task(settings(control.debug(), f"tokenizer={tiny_model}/tokenizer"), data)


def test_things_may_stand_elsewhere_than_their_codes_say(tiny_model, data):  # noqa: F811
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "moved=1.0", "restyled=0.5"]
    task = control.Task(settings(control.debug(), *changes), data)
    batch, plain = task.batch(1, 12), task.load("train", task.order.indices(12, 12))
    assert torch.equal(batch.codes, plain.codes)
    assert not torch.equal(batch.pixels, plain.pixels)
    assert torch.equal(task.batch(1, 12).pixels, batch.pixels)
    sample = task.shards["train"].sample(3)
    again, picture = task.again(sample, np.random.default_rng(0))
    assert picture.shape == (32, 32, 3)
    for old, new in zip(sample.objects, again.objects, strict=True):
        assert old.concept == new.concept
        assert old.box != new.box
        assert 0 <= min(new.box) <= max(new.box) <= 1
