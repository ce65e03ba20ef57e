"""An untrained autoencoder is a mosaic: its latents are colours of cells, and it paints them."""

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from lantu.recipes.rivals.autoencoder_start import LOG_VARIANCE, narrow, start_as_means

SMALL = {"layers_per_block": 1, "norm_num_groups": 1, "scaling_factor": 1.0}


def autoencoder(widths=(8, 16, 32), channels=4):
    torch.manual_seed(0)
    levels = len(widths)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * levels, "up_block_types": ("UpDecoderBlock2D",) * levels}
    return AutoencoderKL(block_out_channels=widths, latent_channels=channels, **blocks, **SMALL).eval()


@torch.no_grad()
def painted(model, pictures):
    return model.decode(model.encode(pictures).latent_dist.mode()).sample


def alike(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


@pytest.mark.parametrize("channels", [3, 4, 16])
def test_it_begins_as_the_mean_colours_of_its_cells(channels):
    cells = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pictures = F.interpolate(cells, scale_factor=4)
    model = autoencoder(channels=channels)
    before = alike(painted(model, pictures), pictures)
    start_as_means(model, channels)
    assert before < 0.5 < 0.9 < alike(painted(model, pictures), pictures)
    with torch.no_grad():
        latents = model.encode(pictures).latent_dist.mode()
    assert all(alike(latents[:, c], cells[:, c]) > 0.9 for c in range(3))


def test_residual_branches_begin_at_nothing_and_learn():
    model = autoencoder()
    start_as_means(model, 4)
    (model.decode(model.encode(torch.randn(2, 3, 32, 32)).latent_dist.mode()).sample).square().mean().backward()
    branches = [each for name, each in model.named_parameters() if name.endswith("conv2.weight")]
    assert all(not each.any() and each.grad.any() for each in branches)


@pytest.mark.parametrize(("widths", "channels"), [((4, 8), 4), ((8, 16), 2)])
def test_what_is_too_narrow_for_colours_begins_as_usual(widths, channels):
    model, as_usual = autoencoder(widths, channels), autoencoder(widths, channels).state_dict()
    start_as_means(model, channels)
    assert all(torch.equal(value, as_usual[name]) for name, value in model.state_dict().items())


def test_latents_begin_with_little_noise():
    model = autoencoder()
    narrow(model.quant_conv, 4)
    spread = model.encode(torch.randn(1, 3, 32, 32)).latent_dist.logvar
    assert torch.allclose(spread, torch.full_like(spread, LOG_VARIANCE))
