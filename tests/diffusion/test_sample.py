"""Codes to pixels: seeds, guidance, control and latents around a denoiser."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.diffusion.sample import sample
from lantu.diffusion.samplers import SAMPLERS, sampler
from lantu.errors import LantuError, ModelError
from lantu.models.lantu.components import load_decoder
from lantu.models.lantu.decoder.native import NativeDenoiser
from lantu.models.lantu.decoder.pytorch import TorchDenoiser, as_decoder
from lantu.types import MASK_CODE

CODES = np.random.default_rng(5).integers(0, 32, (2, 4, 4))


@pytest.fixture(scope="module")
def folder(tiny_model):
    return tiny_model / "decoder"


def residuals(denoiser):
    width = denoiser.codes_KD.shape[1]
    return np.random.default_rng(6).standard_normal((2, 2, 16, width)).astype(np.float32)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("name", ["euler", "heun", "consistency"])
def test_drawings_are_those_of_the_formulas_bit_for_bit(folder, name, guidance):
    """The loops written out for one kind of array, as lantu 0.1 had them."""
    denoiser, steps, seeds = NativeDenoiser.load(folder), 3, [4, 9]
    added = residuals(denoiser)
    drawn = sample(DiffusionDecoder(denoiser, 8), CODES, seeds, steps, guidance, name, control_residuals_2BND=added)
    noise = np.stack([np.random.default_rng((seed, 1)).standard_normal((3, 32, 32), np.float32) for seed in seeds])

    def denoise(x, t):
        if guidance == 1:
            return denoiser(x, t, Conditioning(CODES, added)).clip(-1.2, 1.2)
        pairs = Conditioning(np.concatenate([CODES, np.full_like(CODES, MASK_CODE)]), np.concatenate([added] * 2, 1))
        follow, ignore = np.split(denoiser(np.concatenate([x, x]), t, pairs), 2)
        return (ignore + np.float32(guidance) * (follow - ignore)).clip(-1.2, 1.2)

    x, clean = noise, np.zeros_like(noise)
    for step, (now, then) in enumerate(pairwise([0, 1 / 3, 2 / 3, 1])):
        if name == "consistency":
            fresh = np.roll(noise.reshape(2, -1), step * 7919, 1).reshape(noise.shape)
            x = denoise(np.float32(now) * x + np.float32(1 - now) * fresh if step else fresh, now)
            continue
        clean = denoise(x, now)
        slope = (clean - x) / max(1 - now, 0.05)
        if name == "heun" and then < 1:
            guess = x + (then - now) * slope
            x = x + (then - now) * (slope + (denoise(guess, then) - guess) / max(1 - then, 0.05)) / 2
        else:
            x = clean if then == 1 else x + (then - now) * slope
    assert np.array_equal(drawn, x.clip(-1, 1))


class Leaving(TorchFunctionMode):
    """Notes each time that a value leaves its device."""

    NAMES = ("cpu", "numpy", "item", "tolist", "__bool__", "__float__", "__int__", "__array__", "__index__")

    def __init__(self):
        super().__init__()
        self.noted = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in self.NAMES:
            self.noted.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("name", ["euler", "heun", "consistency"])
def test_on_torch_only_the_picture_and_one_check_leave_the_device(folder, name, guidance):
    decoder = as_decoder(TorchDenoiser.load(folder).network)
    left = []
    for steps in (2, 6):
        with Leaving() as leaving:
            drawn = sample(decoder, CODES, [1, 2], steps, guidance, name)
        left.append(leaving.noted)
    assert left[0] == left[1] == ["cpu", "numpy"] * 2  # are all estimates finite; the picture
    wanted = sample(DiffusionDecoder(NativeDenoiser.load(folder, precise=True), 8), CODES, [1, 2], 6, guidance, name)
    np.testing.assert_allclose(drawn, wanted, atol=1e-3)


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_numbers_that_are_not_finite_are_refused(folder, device):
    network = TorchDenoiser.load(folder).network
    with torch.no_grad():
        network.out.linear.bias[0] = torch.inf if device == "torch" else torch.nan
    decoder = as_decoder(network)
    if device == "cpu":
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        decoder = DiffusionDecoder(NativeDenoiser(network.config.model_dump(), state), 8)
    with pytest.raises(ModelError, match="not finite"):
        sample(decoder, CODES, [1, 2], 2)


def test_a_decoder_that_cannot_render_masked_codes_says_so(folder):
    decoder = DiffusionDecoder(NativeDenoiser.load(folder), 8, partial=False)
    assert sample(decoder, CODES, [1, 2], 1).shape == (2, 3, 32, 32)
    masked = CODES.copy()
    masked[1, 3, 3] = MASK_CODE
    for codes, guidance in ((masked, 1.0), (CODES, 2.0)):
        with pytest.raises(ModelError, match="masked codes"):
            sample(decoder, codes, [1, 2], 1, guidance)
    with pytest.raises(LantuError, match="no sampler called magic"):
        sample(decoder, CODES, [1, 2], 1, sampler_name="magic")


def test_the_decoder_of_a_folder(folder):
    drawn = sample(load_decoder(folder), CODES, [1, 2], 2)
    assert np.array_equal(drawn, sample(DiffusionDecoder(NativeDenoiser.load(folder), 8), CODES, [1, 2], 2))


class Folded:
    """A codec whose latents are the pixels of 4 × 4 squares, scaled: nothing is lost."""

    channels, factor = 48, 4

    def encode(self, pixels):
        B, C, H, W = pixels.shape
        squares = pixels.reshape(B, C, H // 4, 4, W // 4, 4)
        axes = (0, 1, 3, 5, 2, 4)
        moved = squares.transpose(axes) if isinstance(pixels, np.ndarray) else squares.permute(axes)
        return moved.reshape(B, 48, H // 4, W // 4) / 0.5

    def decode(self, latents):
        B, _, h, w = latents.shape
        squares = (latents * 0.5).reshape(B, 3, 4, 4, h, w)
        axes = (0, 1, 4, 2, 5, 3)
        moved = squares.transpose(axes) if isinstance(latents, np.ndarray) else squares.permute(axes)
        return moved.reshape(B, 3, h * 4, w * 4)


class Knowing:
    """A denoiser that knows the latents of each code: one flat square of a grey."""

    def __init__(self, codec, on_torch):
        self.codec, self.on_torch, self.shapes = codec, on_torch, set()

    def to_device(self, array):
        return torch.from_numpy(array) if self.on_torch else array

    def picture(self, codes_Bhw):
        greys = codes_Bhw / 16 - 1
        pixels = greys.astype(np.float32).repeat(8, 1).repeat(8, 2)
        return np.repeat(pixels[:, None], 3, 1)

    def __call__(self, x_t, timestep, conditioning):
        self.shapes.add(tuple(x_t.shape))
        codes = conditioning.codes_Bhw.numpy() if self.on_torch else conditioning.codes_Bhw
        return self.to_device(self.codec.encode(self.picture(codes)))


@pytest.mark.parametrize("on_torch", [False, True])
@pytest.mark.parametrize("name", [each for each in SAMPLERS if each not in ("flow-euler", "unipc")])
def test_latents_are_sampled_and_decoded(name, on_torch):
    codec = Folded()
    denoiser = Knowing(codec, on_torch)
    drawn = sample(DiffusionDecoder(denoiser, 8, codec=codec), CODES, [1, 2], 4, sampler_name=name)
    np.testing.assert_allclose(drawn, denoiser.picture(CODES), atol=1e-5)
    assert denoiser.shapes == {(2, 48, 8, 8)}


def test_a_codec_must_fit_the_patch():
    with pytest.raises(ModelError, match="6 pixels a side, a latent 4"):
        DiffusionDecoder(Knowing(Folded(), False), 6, codec=Folded())


@pytest.mark.parametrize("name", ["euler", "heun", "consistency"])
def test_our_network_asks_for_no_value_between_steps(folder, name):
    """On the device "meta" there are none to ask for."""
    decoder = as_decoder(TorchDenoiser.load(folder).network.to("meta"))
    conditioning = Conditioning(torch.zeros(2, 4, 4, dtype=torch.long, device="meta"))
    noise = torch.empty(2, 3, 32, 32, device="meta")
    drawn = sampler(name)(lambda x, t: decoder.denoise(x, t, conditioning), noise, decoder.times(3))
    assert (drawn.device.type, drawn.shape) == ("meta", noise.shape)
