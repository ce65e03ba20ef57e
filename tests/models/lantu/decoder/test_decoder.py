"""Codes → picture: the network, its training loss, and the samplers."""

import numpy as np
import pytest
import torch

from lantu import kernels
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.diffusion.flow import Corruption, flow_loss, mask_tail, replace
from lantu.diffusion.sample import sample
from lantu.diffusion.samplers import SAMPLERS, sampler, times, velocity
from lantu.errors import LantuError, ModelError
from lantu.models.lantu.decoder import native, pytorch
from lantu.models.lantu.decoder.config import DecoderConfig
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.types import MASK_CODE

TOKENIZER = {"size": 32, "patch": 8, "width": 32, "encoder_layers": 1, "codebook_size": 16, "code_width": 8}
CONFIG = DecoderConfig(patch=8, width=32, layers=2, codebook_size=16)


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    model = PixelDecoder(CONFIG)
    for parameter in model.parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.02)  # wake what starts silent
    return model.eval()


@pytest.fixture
def artist(decoder, tmp_path):
    decoder.save(tmp_path / "artist")
    return DiffusionDecoder(native.NativeDenoiser.load(tmp_path / "artist", precise=True), CONFIG.patch)


def grid(batch: int = 2, height: int = 3, width: int = 4) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 16, (batch, height, width))


def make_tokenizer(decoder_layers: int) -> ImageTokenizer:
    tokenizer = ImageTokenizer(TokenizerConfig(**TOKENIZER, decoder_layers=decoder_layers))
    tokenizer(torch.rand(4, 3, 32, 32))  # the first batch sets the codebook
    return tokenizer.eval()


def test_it_starts_as_the_plain_decoder():
    torch.manual_seed(0)
    tokenizer = make_tokenizer(2)
    decoder = PixelDecoder(CONFIG)
    decoder.start_from(tokenizer.decoder.state_dict(), tokenizer.code_embeddings())
    made = tokenizer(torch.rand(2, 3, 32, 32) * 2 - 1)
    clean = decoder(torch.randn(2, 3, 32, 32), torch.tensor([0.0, 0.7]), made.codes)
    torch.testing.assert_close(clean, made.pixels, atol=1e-4, rtol=1e-3)


def test_blocks_that_were_not_copied_start_silent():
    tokenizer = make_tokenizer(1)
    decoder = PixelDecoder(CONFIG)
    decoder.start_from(tokenizer.decoder.state_dict(), tokenizer.code_embeddings())
    made = tokenizer(torch.rand(1, 3, 32, 32))
    clean = decoder(torch.zeros(1, 3, 32, 32), torch.zeros(1), made.codes)
    torch.testing.assert_close(clean, made.pixels, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("patch", [4, 12, 16])
def test_with_other_patches_it_starts_as_the_plain_decoder_scaled(patch):
    """Smooth pictures, for half the patch can't hold the details of random weights."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(2)
    linear = tokenizer.decoder.out.linear
    with torch.no_grad():
        for values in (linear.weight, linear.bias):
            rough = torch.randn(values.numel() // 768, 3, 3, 3)
            smooth = torch.nn.functional.interpolate(rough, size=(16, 16), mode="bicubic")
            values.copy_(smooth.permute(2, 3, 1, 0).reshape(values.shape))
    decoder = PixelDecoder(CONFIG.model_copy(update={"patch": patch}))
    decoder.start_from(tokenizer.decoder.state_dict(), tokenizer.code_embeddings())
    made = tokenizer(torch.rand(2, 3, 32, 32) * 2 - 1)
    clean = decoder(torch.randn(2, 3, 4 * patch, 4 * patch), torch.tensor([0.0, 0.7]), made.codes)
    wanted = torch.nn.functional.interpolate(made.pixels, size=(4 * patch, 4 * patch), mode="bilinear", antialias=True)
    inside = slice(patch // 2, -patch // 2)  # at the rim windows are cut
    error = (clean - wanted)[:, :, inside, inside].abs().mean()
    assert error < 0.06 * wanted.std()


def test_what_is_saved_is_what_is_loaded(decoder, tmp_path):
    decoder.save(tmp_path)
    loaded = PixelDecoder.load(tmp_path)
    loaded.save(tmp_path / "again")
    again = PixelDecoder.load(tmp_path / "again")
    arguments = torch.randn(2, 3, 24, 32), torch.tensor([0.1, 0.9]), torch.from_numpy(grid())
    assert torch.equal(loaded(*arguments), again(*arguments))
    with pytest.raises(ModelError, match="no diffusion decoder"):
        PixelDecoder.load(tmp_path / "missing")


def test_a_perfect_prediction_has_no_loss():
    real = torch.rand(4, 3, 24, 32)
    loss, clean = flow_loss(
        lambda noisy, time, codes: real, real, torch.from_numpy(grid(4)), torch.Generator().manual_seed(0)
    )
    assert loss == 0
    assert clean is real


def test_the_loss_weighs_errors_by_what_noise_is_left():
    """An error of the clean picture counts as that of the velocity: divided by 1 - t."""
    real, seen = torch.zeros(64, 3, 8, 8), []

    def off_by_one(noisy, time, codes):
        seen.append(time)
        return real + 1

    loss, _ = flow_loss(off_by_one, real, torch.from_numpy(grid(64)), torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, (1 / (1 - seen[0]).clamp_min(0.05)).square().mean())


def test_spoilt_codes_stay_codes_and_follow_their_generator():
    codes = torch.from_numpy(grid(64, 4, 4))
    spoil = Corruption(dropped=0.2, hidden=0.2, spoilt=0.5, most=0.5)
    once = spoil(codes, 16, torch.Generator().manual_seed(1))
    assert torch.equal(once, spoil(codes, 16, torch.Generator().manual_seed(1)))
    assert not torch.equal(once, spoil(codes, 16, torch.Generator().manual_seed(2)))
    assert once.min() == MASK_CODE
    assert once.max() < 16
    dropped = (once == MASK_CODE).all(-1).all(-1).float().mean()
    assert 0.05 < dropped < 0.5
    assert torch.equal(Corruption(0, 0, 0, 0)(codes, 16, torch.Generator()), codes)


def test_replacing_spoils_about_the_share_asked_for():
    codes = torch.zeros(100, 4, 4, dtype=torch.long)
    spoilt = replace(codes, 0.5, 1000, torch.Generator().manual_seed(0))
    assert 0.15 < (spoilt != 0).float().mean() < 0.35  # half of the replacements come from the batch itself: zeros


def test_hiding_keeps_the_first_cells_in_reading_order():
    hidden = mask_tail(torch.arange(12).view(1, 3, 4).repeat(2, 1, 1), torch.tensor([5, 0]))
    assert hidden[0].flatten().tolist() == [0, 1, 2, 3, 4] + [MASK_CODE] * 7
    assert (hidden[1] == MASK_CODE).all()


@pytest.mark.parametrize("name", ["euler", "heun", "consistency"])
def test_samplers_follow_a_known_flow(name):
    """With one possible picture the flow is a straight line to it, which every sampler follows exactly."""
    target = np.full((1, 3, 4, 4), 0.3, np.float32)
    seen, noise = [], np.random.default_rng(0).standard_normal((1, 3, 4, 4), np.float32)
    x = sampler(name)(lambda x, t: target, noise, times(5), lambda step, clean: seen.append(step))
    np.testing.assert_allclose(x, target, rtol=1e-5)
    assert seen == [0, 1, 2, 3, 4]


def test_consistency_puts_each_estimate_under_fresh_noise():
    noise = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    seen = []

    def denoise(x, time):
        seen.append((x, time))
        return np.full_like(x, 2)

    assert (sampler("consistency")(denoise, noise, times(4)) == 2).all()
    assert [time for _, time in seen] == [0, 0.25, 0.5, 0.75]
    used = [(x - time * 2) / (1 - time) for x, time in seen]
    np.testing.assert_array_equal(used[0], noise)
    for place, each in enumerate(used):
        assert abs(each.std() - 1) < 0.05
        for other in used[:place]:
            assert abs(np.corrcoef(each.ravel(), other.ravel())[0, 1]) < 0.06


def test_more_steps_come_closer_and_heun_is_the_better():
    """Pictures spread as a normal of variance s²: the clean estimate and the exact end point are known."""
    s, noise = 0.5, np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)

    def denoise(x, t):
        return x * t * s**2 / (t**2 * s**2 + (1 - t) ** 2)

    def error(name, steps):
        return np.abs(sampler(name)(denoise, noise, times(steps)) - s * noise).mean()

    assert error("euler", 64) < error("euler", 16) < error("euler", 4)
    assert error("heun", 32) < error("euler", 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flow-euler", "unipc"])
def test_schedulers_of_diffusers_agree_with_ours(artist, name):
    mine = sample(artist, grid(), [1, 2], steps=20, sampler_name="euler")
    theirs = sample(artist, grid(), [1, 2], steps=20, sampler_name=name)
    tolerance = 1e-4 if name == "flow-euler" else 0.1
    assert np.abs(mine - theirs).mean() < tolerance


def test_a_picture_depends_on_its_seed_alone(artist):
    codes = grid(3)
    together = sample(artist, codes, [7, 8, 9], steps=3)
    alone = sample(artist, codes[1:2], [8], steps=3)
    if kernels.exact():
        assert np.array_equal(together[1:2], alone)
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5, rtol=1e-4)
    assert not np.allclose(sample(artist, codes[1:2], [7], steps=3), alone)


def test_guidance_of_one_is_the_bare_decoder_and_more_moves_away(artist):
    bare = sample(artist, grid(), [1, 2], steps=2)
    near = sample(artist, grid(), [1, 2], steps=2, guidance=1.0001)
    far = sample(artist, grid(), [1, 2], steps=2, guidance=3.0)
    assert np.abs(bare - near).max() < 1e-2
    assert np.abs(bare - far).mean() > np.abs(bare - near).mean()


def test_any_grid_can_be_rendered(artist):
    assert sample(artist, grid(1, 2, 7), [0], steps=2).shape == (1, 3, 16, 56)


def test_an_unknown_sampler_is_named():
    with pytest.raises(LantuError, match="euler"):
        sampler("magic")
    assert "unipc" in SAMPLERS


def test_velocity_points_from_noise_to_picture():
    clean, noisy = torch.ones(1), torch.zeros(1)
    assert velocity(clean, noisy, 0.5) == 2


@pytest.mark.parametrize("precise", [True, False])
def test_on_the_kernels_it_paints_what_it_paints_on_torch(decoder, precise, tmp_path):
    decoder.save(tmp_path)
    there, here = pytorch.TorchDenoiser.load(tmp_path), native.NativeDenoiser.load(tmp_path, precise)
    codes = grid(3)
    codes[1, 2] = MASK_CODE
    noisy = np.random.default_rng(0).standard_normal((3, 3, 24, 32)).astype(np.float32)
    for time in (0.0, 0.4, 0.9, 0.4):
        wanted = there(torch.from_numpy(noisy), time, Conditioning(torch.from_numpy(codes))).numpy()
        got = here(noisy, time, Conditioning(codes))
        assert np.abs(wanted - got).max() < (1e-5 if precise else 0.02) * max(1, np.abs(wanted).max())
    noisy, codes = noisy[:1, :, :8], codes[:1, :1]  # another grid, another batch
    wanted = there(torch.from_numpy(noisy), 0.4, Conditioning(torch.from_numpy(codes))).numpy()
    np.testing.assert_allclose(here(noisy, 0.4, Conditioning(codes)), wanted, atol=1e-5 if precise else 0.02)
    with pytest.raises(ModelError):
        native.NativeDenoiser.load(tmp_path / "missing")
    with pytest.raises(ModelError, match="lacks"):
        native.NativeDenoiser({"patch": 8, "width": 32, "layers": 2}, {})
