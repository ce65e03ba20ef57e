"""A control is trained beside a decoder that stays as it is."""

import numpy as np
import pytest
import torch
from overrides import settings

from lantu import recipes
from lantu.errors import RecipeError
from lantu.models.lantu.decoder.control import NOTHING, ControlNetwork
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.recipes import control
from lantu.recipes.assemble import assemble
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def data(scene_data):
    return scene_data


def test_each_picture_comes_with_what_it_is_to_follow(tiny_model, data):
    recipe = settings(control.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}")
    task = control.Task(recipe, data)
    batch = task.batch(1, 36)
    assert batch.control.shape == batch.pixels.shape == (36, 3, 32, 32)
    for picture, kind in zip(batch.control, batch.kind.tolist(), strict=True):
        if kind < 2:
            assert set(picture.unique().tolist()) <= {-1.0, 1.0}
    assert len(set(batch.kind.tolist())) == 3
    assert torch.equal(task.batch(1, 36).control, batch.control)


def test_it_learns_and_the_decoder_stays(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32", "loop.steps=12"]
    recipes.train("control", "debug", data, tmp_path / "run", changes, progress=False)
    made = ControlNetwork.load(tmp_path / "run" / "model")
    assert made.out.weight.any()
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    folder = assemble(tiny_model, tiny_model, tiny_model, tmp_path / "made", control=tmp_path / "run")
    assert folder.controlled
    before = PixelDecoder.load(tiny_model / "decoder").state_dict()
    assert all(
        torch.equal(value, before[key])
        for key, value in PixelDecoder.load(folder.path / "decoder").state_dict().items()
    )


def test_it_needs_a_decoder(tiny_model, data):
    with pytest.raises(RecipeError, match="is trained for a decoder"):
        control.Task(settings(control.debug(), f"tokenizer={tiny_model}/tokenizer"), data)


def test_some_codes_become_others_that_fit(tiny_model, data):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "guessed=0.5"]
    task = control.Task(settings(control.debug(), *changes), data)
    codes, fits = torch.zeros(50, 4, 4, dtype=torch.long), torch.full((50, 16, 32), -50.0)
    fits[..., 5:7] = 0
    guessed = task._guess(codes, fits, torch.Generator().manual_seed(0))
    assert set(guessed.unique().tolist()) == {0, 5, 6}
    shares = (guessed > 0).float().mean((1, 2))
    assert 0.15 < shares.mean() < 0.35  # half of them, at most
    assert shares.std() > 0.1
    assert torch.equal(guessed, task._guess(codes, fits, torch.Generator().manual_seed(0)))


def test_it_learns_which_codes_fit(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32"]
    recipes.train("control", "debug", data, tmp_path / "run", [*changes, "loop.steps=60"], progress=False)
    made = ControlNetwork.load(tmp_path / "run" / "model")
    task = control.Task(settings(control.debug(), *changes), data)
    batch = task.batch(3, 24)
    right = batch.codes.flatten(1)[..., None]
    nothing, unknown = torch.full_like(batch.kind, NOTHING), torch.full_like(batch.codes, MASK_CODE)
    above = unknown.clone()
    above[:, :2] = batch.codes[:, :2]

    def likelihood(kind, known):  # of the lower half
        return made.code_logits(batch.control, kind, known).log_softmax(-1).gather(-1, right)[:, 8:].mean()

    assert likelihood(batch.kind, above) > likelihood(nothing, above)
    assert likelihood(batch.kind, unknown) > likelihood(nothing, unknown) > -np.log(32)


def test_it_goes_on_from_a_control(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32"]
    recipes.train("control", "debug", data, tmp_path / "run", [*changes, "loop.steps=4"], progress=False)
    task = control.Task(settings(control.debug(), *changes, f"control={tmp_path}/run"), data)
    made, begun = ControlNetwork.load(tmp_path / "run" / "model"), task.networks["model"]
    assert begun.training
    assert all(parameter.requires_grad for parameter in begun.parameters())
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in begun.state_dict().items())
    ControlNetwork(made.config.model_copy(update={"codebook_size": 64})).save(tmp_path / "other")
    with pytest.raises(RecipeError, match="no control of this decoder"):
        control.Task(settings(control.debug(), *changes, f"control={tmp_path}/other"), data)


def test_edges_come_as_fine_and_coarse_as_other_programs_take_them(tiny_model, data):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "shares=[1,0,0]"]

    def lines(*more):
        return (control.Task(settings(control.debug(), *changes, *more), data).batch(1, 24).control > 0).sum()

    assert lines("coarsest=1") >= lines() > lines("coarsest=64") > 0
