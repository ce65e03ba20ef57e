"""Pretrained autoencoders as latent codecs, and configs of diffusers as schedules."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lantu.diffusion.decoder import DiffusionDecoder
from lantu.diffusion.sample import sample
from lantu.diffusion.schedules import DDPMSchedule, FlowSchedule
from lantu.errors import ModelError
from lantu.models.diffusers import tiny_autoencoder
from lantu.models.diffusers.scheduler import read_scheduler
from lantu.models.diffusers.tiny_autoencoder import TinyAutoencoder

TAEF2 = os.environ.get("LANTU_TAEF2", "")  # a folder with TAEF2's weights, which are not part of the repository


def smooth(size):
    rows, columns = np.mgrid[:size, :size] / size * 2 - 1
    return np.stack([rows, columns, rows * columns])[None].astype(np.float32)


class Remembering:
    """A denoiser of one picture's latents."""

    def __init__(self, latents):
        self.latents = latents

    def to_device(self, array):
        return torch.from_numpy(array)

    def __call__(self, x_t, timestep, conditioning):
        return self.latents.expand(len(x_t), -1, -1, -1)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    for name, make in (("encoder", tiny_autoencoder.encoder), ("decoder", tiny_autoencoder.decoder)):
        save_file(make(5, 8, pooled=True).half().state_dict(), tmp_path / f"{name}.safetensors")
    return tmp_path


def test_a_tiny_autoencoder_is_read_from_its_files_alone(folder):
    codec = TinyAutoencoder.load(folder)
    latents = codec.encode(smooth(32))
    assert latents.shape == (1, codec.channels, 32 // codec.factor, 32 // codec.factor) == (1, 5, 4, 4)
    pixels = codec.decode(latents.numpy())
    assert pixels.shape == (1, 3, 32, 32)
    decoder = DiffusionDecoder(Remembering(latents), 16, codec=codec)
    drawn = sample(decoder, np.zeros((1, 2, 2), np.int64), [3], 3)
    np.testing.assert_allclose(drawn, pixels.clip(-1, 1).numpy(), atol=1e-5)


def test_what_is_no_tiny_autoencoder_is_refused(folder):
    (folder / "decoder.safetensors").write_bytes((folder / "encoder.safetensors").read_bytes())
    with pytest.raises(ModelError, match="no tiny autoencoder"):
        TinyAutoencoder.load(folder)
    (folder / "decoder.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match="can't be read"):
        TinyAutoencoder.load(folder)
    with pytest.raises(ModelError):
        TinyAutoencoder.load(folder / "missing")


@pytest.mark.skipif(not TAEF2, reason="LANTU_TAEF2 names no folder")
def test_taef2_gives_a_picture_back():
    codec, picture = TinyAutoencoder.load(Path(TAEF2)), smooth(128)
    error = np.square(codec.decode(codec.encode(picture)).numpy() - picture).mean()
    assert 10 * np.log10(4 / error) > 25


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["AutoencoderKL", "AutoencoderTiny"])
def test_autoencoders_of_diffusers(tmp_path, kind):
    import diffusers

    from lantu.models.diffusers.vae import AutoencoderCodec

    torch.manual_seed(0)
    if kind == "AutoencoderKL":
        blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
        sizes = {"block_out_channels": [16, 16], "latent_channels": 6, "norm_num_groups": 4}
        network = diffusers.AutoencoderKL(**blocks, **sizes, scaling_factor=0.5, shift_factor=0.1)
    else:
        widths = {"encoder_block_out_channels": [8, 8], "decoder_block_out_channels": [8, 8]}
        counts = {"num_encoder_blocks": [1, 1], "num_decoder_blocks": [1, 1]}
        network = diffusers.AutoencoderTiny(**widths, **counts, latent_channels=6)
    network.eval().save_pretrained(tmp_path)
    codec = AutoencoderCodec.load(tmp_path)
    assert (codec.channels, codec.factor) == (6, 2)
    with torch.inference_mode():
        own = network.encode(torch.from_numpy(smooth(16)))
        own = own.latent_dist.mode() if kind == "AutoencoderKL" else own.latents
        wanted = network.decode(own).sample
    latents = codec.encode(smooth(16))
    torch.testing.assert_close(latents, (own - codec.shift) * codec.scaling)
    torch.testing.assert_close(codec.decode(latents), wanted, atol=1e-5, rtol=1e-4)
    with pytest.raises(ModelError, match="no autoencoder"):
        AutoencoderCodec.load(tmp_path / "missing")


def test_configs_of_schedulers():
    stable = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    assert read_scheduler(stable) == (DDPMSchedule.scaled_linear(), "eps")
    assert read_scheduler(stable | {"prediction_type": "v_prediction"})[1] == "v"
    assert read_scheduler({"num_train_timesteps": 500}) == (DDPMSchedule.linear(500), "eps")
    assert read_scheduler({"beta_schedule": "squaredcos_cap_v2"})[0] == DDPMSchedule.cosine()
    assert read_scheduler({"trained_betas": [0.1, 0.5]})[0].alphas_cumprod == pytest.approx((0.9, 0.45))
    flow, kind = read_scheduler({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    assert (flow, kind) == (FlowSchedule(1000, 3.0, 0.0), "flow")
    for config in ({"rescale_betas_zero_snr": True}, {"beta_schedule": "sigmoid"}, {"prediction_type": "score"}):
        with pytest.raises(ModelError):
            read_scheduler(config)
