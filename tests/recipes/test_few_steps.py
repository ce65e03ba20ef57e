"""Decoders that are taught to render in few steps."""

import numpy as np
import pytest
import torch
from overrides import settings

from lantu import recipes
from lantu.diffusion.samplers import times
from lantu.errors import RecipeError
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.recipes import consistency, decoder, distribution_matching
from lantu.training import checkpoint

SHAPE = (4, 3, 8, 8)
CODES = torch.zeros(4, 2, 2, dtype=torch.long)


@pytest.fixture(scope="module")
def data(captioned_data):
    return captioned_data


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_consistent_pupil_of_a_straight_path_has_nothing_to_learn():
    """Where the teacher's path leads straight to one picture, that picture is the estimate everywhere."""
    end = torch.randn(SHAPE, generator=generator())

    def sure(noisy, time, codes):
        return end

    clean, target = consistency.consistency(sure, sure, sure, end, CODES, times(8), generator())
    torch.testing.assert_close(clean, target)
    assert consistency.pseudo_huber(clean, target) == 0


def test_the_target_is_one_step_of_the_teacher_further_on():
    pixels = torch.randn(SHAPE, generator=generator())
    seen = []

    def pupil(noisy, time, codes):
        seen.append((noisy, time))
        return noisy

    def teacher(noisy, time, codes):
        return torch.zeros_like(noisy)

    for seed in range(20):
        seen.clear()
        clean, target = consistency.consistency(pupil, pupil, teacher, pixels, CODES, times(4), generator(seed))
        (further, then), (noisy, now) = seen
        torch.testing.assert_close(then, now + 0.25)
        t = now[:, None, None, None]
        torch.testing.assert_close(further, noisy + 0.25 * (0 - noisy) / (1 - t))  # Euler along the velocity
        last = now == 0.75
        torch.testing.assert_close(target[~last], further[~last])
        assert (target[last] == 0).all()  # the teacher's own end
        torch.testing.assert_close(clean, noisy)


def test_the_pupil_of_matching_meets_what_rendering_gives_it():
    from lantu.diffusion.samplers import euler

    def predict(noisy, time, codes):
        return 0.3 * noisy + time[:, None, None, None]

    def denoise(x, time):
        return predict(torch.from_numpy(x), torch.full((4,), time), CODES).numpy()

    drawn = distribution_matching.few_steps(predict, torch.Size(SHAPE), CODES, [times(1)], generator())
    noise = torch.randn(SHAPE, generator=generator())
    torch.testing.assert_close(drawn, 0.3 * noise)
    ends = set()
    for seed in range(40):
        drawn = distribution_matching.few_steps(predict, torch.Size(SHAPE), CODES, [times(3)], generator(seed))
        noise = torch.randn(SHAPE, generator=generator(seed))
        steps: list[tuple[int, torch.Tensor]] = []
        euler(denoise, noise.numpy(), times(3), lambda *told, steps=steps: steps.append(told))
        (place,) = [at for at, clean in steps if np.allclose(clean, drawn, atol=1e-5)]
        ends.add(place)
    assert ends == {0, 1, 2}


def test_matching_moves_pictures_towards_what_the_teacher_finds_likelier():
    pictures = torch.zeros(SHAPE, requires_grad=True)

    def estimate(value):
        return lambda noisy, time, codes: torch.full_like(noisy, value)

    distribution_matching.matching_loss(estimate(0.5), estimate(0.1), pictures, CODES, generator()).backward()
    assert (pictures.grad < 0).all()  # up, towards the teacher's 0.5 and away from the critic's 0.1
    same = torch.zeros(SHAPE, requires_grad=True)
    distribution_matching.matching_loss(estimate(0.5), estimate(0.5), same, CODES, generator()).backward()
    assert not same.grad.any()


@pytest.mark.parametrize("name", ["consistency-debug", "matching-debug"])
def test_a_decoder_is_taught_and_a_killed_run_ends_the_same(tiny_model, data, tmp_path, name):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32", "loop.sample_every=0"]
    changes += ["loop.steps=9", "loop.log_every=3", "loop.decay_fraction=0"]
    whole = recipes.train("decoder", name, data, tmp_path / "whole", changes, progress=False)
    begun = PixelDecoder.load(tiny_model / "decoder").state_dict()
    moved = PixelDecoder.load(tmp_path / "whole" / "model").state_dict()
    assert moved.keys() == begun.keys()
    assert any(not torch.equal(value, begun[key]) for key, value in moved.items())
    recipes.train("decoder", name, data, tmp_path / "parts", [*changes, "loop.steps=5"], progress=False)
    assert checkpoint.numbered(tmp_path / "parts" / "checkpoints")
    parts = recipes.train("decoder", name, data, tmp_path / "parts", changes, resume=True, progress=False)
    assert parts.last["loss"] == whole.last["loss"]
    resumed = PixelDecoder.load(tmp_path / "parts" / "model").state_dict()
    assert all(torch.equal(value, moved[key]) for key, value in resumed.items())


@pytest.mark.parametrize("module", [consistency, distribution_matching])
def test_they_need_a_decoder_to_learn_from(module, tiny_model, data):
    with pytest.raises(RecipeError, match="renders in many"):
        module.Task(settings(module.debug(), f"tokenizer={tiny_model}/tokenizer"), data)


def test_recipes_are_named_once():
    assert len(set(recipes.names("decoder"))) == len(recipes.names("decoder"))
    assert {"emoji", "consistency", "distribution_matching"} <= set(recipes.names("decoder"))
    assert "guidance_distillation" in recipes.names("language")
    assert recipes.names("decoder") == sorted(recipes.names("decoder"))
    assert decoder.RECIPES.keys() < set(recipes.names("decoder"))


def test_the_average_of_a_student_takes_each_of_its_updates():
    with pytest.raises(RecipeError, match="ema_every to 1"):
        settings(distribution_matching.debug(), "loop.ema_every=8")
