"""Every parameterisation, schedule and sampler on pictures of which the exact denoiser is known."""

import math

import numpy as np
import pytest
import torch

from lantu.diffusion.arrays import namespace
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.diffusion.parameterisations import PARAMETERISATIONS
from lantu.diffusion.samplers import NATIVE, SAMPLERS, sampler, times
from lantu.diffusion.schedules import DDPMSchedule, FlowSchedule
from lantu.errors import ModelError

MEAN, SPREAD = 0.3, 0.5
SCHEDULES = {
    "flow": FlowSchedule(min_noise=0.0),
    "flow of diffusers": FlowSchedule(train_steps=1000, shift=3.0, min_noise=0.0),
    "linear": DDPMSchedule.linear(),
    "scaled linear": DDPMSchedule.scaled_linear(),
    "cosine": DDPMSchedule.cosine(),
}
NOTHING = Conditioning(None)


def levels(schedule, timestep):
    """α and σ of what a denoiser is given at a timestep, from the schedule's own definition."""
    if isinstance(schedule, FlowSchedule):
        sigma = timestep / schedule.train_steps if schedule.train_steps else 1 - timestep
        return 1 - sigma, sigma
    squares = np.array(schedule.alphas_cumprod)
    ratio = math.exp(np.interp(timestep, np.arange(len(squares)), 0.5 * np.log(squares / (1 - squares))))
    return ratio / math.hypot(1, ratio), 1 / math.hypot(1, ratio)


class Exact:
    """Pictures whose values are normal, of mean MEAN and deviation SPREAD: the best estimate of each parameterisation.

    With ``ends`` the estimate is the end of the path on which x_t lies: a perfect consistency model.
    """

    def __init__(self, name, schedule, ends=False):
        self.target, self.schedule, self.ends = PARAMETERISATIONS[name].target, schedule, ends
        self.timesteps = []

    def to_device(self, array):
        return array

    def __call__(self, x_t, timestep, conditioning):
        self.timesteps.append(timestep)
        alpha, sigma = levels(self.schedule, timestep)
        spread = math.hypot(alpha * SPREAD, sigma)
        pull = SPREAD / spread if self.ends else alpha * SPREAD**2 / spread**2
        clean = MEAN + pull * (x_t - alpha * MEAN)
        return self.target(clean, (x_t - alpha * clean) / sigma, alpha, sigma)


def noise():
    return np.random.default_rng(0).standard_normal((1, 3, 48, 48), np.float32)


def drawn(name, parameterisation, schedule, steps=40, start=None):
    """A picture, drawn from noise."""
    exact = Exact(parameterisation, schedule, ends=name == "consistency")
    decoder = DiffusionDecoder(exact, 8, parameterisation, schedule)
    start = noise() if start is None else start
    return sampler(name)(
        lambda x, t: decoder.denoise(x, t, NOTHING), start, decoder.times(steps), None, schedule.min_noise
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "name", [name if name in NATIVE else pytest.param(name, marks=pytest.mark.slow) for name in SAMPLERS]
)
def test_samples_have_the_right_moments_in_every_parameterisation(name, schedule):
    steps = 8 if name == "consistency" else 200  # after many, its rolled noises are no longer independent
    pictures = {each: drawn(name, each, SCHEDULES[schedule], steps) for each in PARAMETERISATIONS}
    for picture in pictures.values():
        assert picture.dtype == np.float32
        assert abs(picture.mean() - MEAN) < 0.03
        assert abs(picture.std() / SPREAD - 1) < 0.04
        # The path leads each value of the noise to that value of the pictures.
        assert np.corrcoef(picture.ravel(), noise().ravel())[0, 1] > 0.999 or name == "consistency"
        np.testing.assert_allclose(picture, pictures["x0"], atol=0.02)


def test_more_steps_come_closer_and_a_second_order_comes_closer_still():
    end = MEAN + SPREAD * noise()
    for schedule in ("flow", "linear", "cosine"):
        few, many, heun = (
            np.abs(drawn(name, "v", SCHEDULES[schedule], steps) - end).mean()
            for name, steps in (("euler", 8), ("euler", 32), ("heun", 16))
        )
        assert heun < many < few


@pytest.mark.parametrize("parameterisation", PARAMETERISATIONS)
def test_a_prediction_becomes_the_picture_that_it_was_made_of(parameterisation):
    kind, random = PARAMETERISATIONS[parameterisation], np.random.default_rng(1)
    picture, epsilon = random.standard_normal((2, 4, 4))
    for alpha, sigma in ((0.3, 0.7), (0.6, 0.8), (1.0, 14.0), (0.05, 0.95)):
        x_t = alpha * picture + sigma * epsilon
        clean = kind.clean(kind.target(picture, epsilon, alpha, sigma), x_t, alpha, sigma)
        np.testing.assert_allclose(clean, picture, atol=1e-9)


@pytest.mark.parametrize("name", NATIVE)
def test_torch_and_numpy_draw_the_same(name):
    for schedule in SCHEDULES.values():
        there = drawn(name, "eps", schedule, 8, torch.from_numpy(noise()))
        assert isinstance(there, torch.Tensor)
        np.testing.assert_allclose(there.numpy(), drawn(name, "eps", schedule, 8), atol=2e-3)


@pytest.mark.parametrize("name", [*NATIVE, *(pytest.param(n, marks=pytest.mark.slow) for n in ("flow-euler", "unipc"))])
def test_nothing_leaves_the_device_between_steps(name):
    """Tensors of the device "meta" have no values: whoever asks for one fails."""
    start = torch.empty(2, 3, 8, 8, device="meta")
    with pytest.raises((NotImplementedError, RuntimeError)):
        start.cpu()
    decoder = DiffusionDecoder(Exact("eps", SCHEDULES["linear"]), 8, "eps", SCHEDULES["linear"])
    seen = []
    end = sampler(name)(
        lambda x, t: decoder.denoise(x, t, NOTHING), start, decoder.times(4), lambda step, clean: seen.append(clean)
    )
    assert end.device.type == "meta"
    assert [clean.shape for clean in seen] == [start.shape] * 4


def test_timesteps_are_those_of_training():
    schedule = DDPMSchedule.linear()
    assert [round(schedule.timestep(t), 6) for t in schedule.times(4)] == [999, 749, 499, 249, 0]
    assert schedule.timestep(0) == 999
    own = schedule.flow_times
    assert 10 < schedule.timestep((own[10] + own[11]) / 2) < 11
    assert len(schedule.times(5000)) == 1001
    shifted = FlowSchedule(train_steps=1000, shift=3.0)
    assert [round(shifted.timestep(t), 6) for t in shifted.times(2)] == [1000, 750, 0]
    assert FlowSchedule().times(7) == times(7)


def test_schedules_that_are_none_are_refused():
    for values in ((0.5,), (0.5, 0.9), (0.9, 0.5, 0.5), (1.0, 0.5), (0.9, float("nan")), (0.9, 0.0)):
        with pytest.raises(ModelError):
            DDPMSchedule(values)
    with pytest.raises(ModelError, match="no parameterisation called noise"):
        DiffusionDecoder(Exact("eps", FlowSchedule()), 8, "noise")


def test_the_module_of_an_array():
    assert namespace(noise()) is np
    assert namespace(torch.zeros(1)) is torch


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_euler_on_a_discrete_schedule_is_ddim_of_diffusers(prediction):
    from diffusers import DDIMScheduler

    from lantu.models.diffusers.scheduler import read_scheduler

    theirs = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    schedule, parameterisation = read_scheduler({"_class_name": "DDIMScheduler", **theirs.config})
    exact = Exact(parameterisation, schedule)
    np.testing.assert_allclose(schedule.alphas_cumprod, theirs.alphas_cumprod.numpy(), rtol=1e-5)
    theirs.set_timesteps(10)
    x = torch.from_numpy(noise())
    for timestep in theirs.timesteps:
        x = theirs.step(exact(x, float(timestep), NOTHING), timestep, x).prev_sample
    start = noise() * np.float32(1 / math.hypot(*levels(schedule, 999.0)))
    mine = drawn("euler", parameterisation, schedule, 10, start)
    np.testing.assert_allclose(mine, x.numpy(), atol=2e-3)
