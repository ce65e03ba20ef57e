"""Autoencoder, text encoder and denoiser, trained in seconds: they learn, resume, are opened here and by diffusers."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from rival_checks import losses, resumed_alike, served_alike

import lantu
from lantu.errors import ModelError, RecipeError
from lantu.recipes import train
from lantu.recipes.rivals import text_encoder_diffusion
from lantu.recipes.rivals.assembling import assemble_rival
from lantu.training.config import override

pytestmark = pytest.mark.slow  # a minute on a quiet core

OPTIONS = {"progress": False, "device": "cpu"}
QUIET = ["loop.sample_every=0", "loop.validate_every=0"]


@pytest.fixture(scope="module")
def autoencoder(captioned_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "autoencoder"
    train("rival", "autoencoder-debug", captioned_data, out, ["loop.steps=150", *QUIET], **OPTIONS)
    return out


@pytest.fixture(scope="module")
def run(captioned_data, autoencoder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "diffusion"
    settings = [f"autoencoder={autoencoder}", "loop.steps=120", "loop.sample_every=0", "loop.validate_every=60"]
    train("rival", "text-encoder-diffusion-debug", captioned_data, out, settings, **OPTIONS)
    return out


def test_the_autoencoder_learns_and_is_diffusers_own(autoencoder, captioned_data):
    from diffusers import AutoencoderKL

    assert losses(autoencoder)[-1] < 0.8 * losses(autoencoder)[0]
    network = AutoencoderKL.from_pretrained(autoencoder / "model", local_files_only=True)
    task = text_encoder_diffusion.Task(
        override(text_encoder_diffusion.debug(), [f"autoencoder={autoencoder}"]), captioned_data
    )
    assert task.batch(0, 4)["latents"].shape == (4, 4, 8, 8)
    latents = task.batch(0, 24)["latents"]
    assert 0.7 < float(latents.std()) < 1.4
    picture = torch.zeros(1, 3, 32, 32)
    mode = network.encode(picture).latent_dist.mode() * network.config.scaling_factor
    found = torch.from_numpy(task.latent.unpack(task.tokenizer.encode(picture).numpy()))
    assert torch.allclose(found, mode, atol=1e-3)


def test_an_autoencoder_is_needed(captioned_data, tmp_path):
    with pytest.raises(RecipeError, match="autoencoder"):
        train("rival", "text-encoder-diffusion-debug", captioned_data, tmp_path / "run", **OPTIONS)


def test_it_learns_and_draws_what_it_is_asked_for(run):
    assert np.mean(losses(run)[-2:]) < 0.6 * losses(run)[0]
    model = lantu.load(run / "model", "cpu")
    true = {"cat": "red", "dog": "blue", "fox": "green"}
    latents = {name: latent_of(model, Image.new("RGB", (32, 32), colour)) for name, colour in true.items()}
    for name in true:
        picture = model.draw(f"a {name}", seed=1, steps=10, guidance=1.0)
        assert picture.image.size == (32, 32)
        drawn = model.folder.latent_codes.unpack(picture.codes[None])
        assert min(true, key=lambda other: float(np.square(drawn - latents[other]).mean())) == name
    index = json.loads((run / "model/model_index.json").read_text())
    assert index["training"]["flops_per_sample"] > 1e6


def latent_of(model, image):
    return model.folder.latent_codes.unpack(model.tokenize(image)[None])


def test_resumed_is_unbroken(captioned_data, autoencoder, tmp_path):
    resumed_alike("text-encoder-diffusion-debug", captioned_data, tmp_path, [f"autoencoder={autoencoder}"])


def test_diffusers_draws_the_same(run):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(run / "model", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.from_numpy(np.random.default_rng((7, 0)).standard_normal((1, 4, 8, 8), np.float32))
    asked = {"num_inference_steps": 6, "guidance_scale": 2.0, "height": 32, "width": 32}
    pixels = pipeline("a cat", latents=noise, output_type="np", **asked).images[0]
    picture = lantu.load(run / "model", "cpu").draw("a cat", seed=7, steps=6, guidance=2.0)
    assert np.abs(np.asarray(picture.image) / 255 - pixels).max() < 0.02


def test_other_predictions_and_a_tiny_autoencoder(captioned_data, tmp_path):
    from safetensors.torch import save_file

    from lantu.models.diffusers import tiny_autoencoder

    place = tmp_path / "tiny"  # two files like those of TAEF2, with random weights
    place.mkdir()
    for half in ("encoder", "decoder"):
        save_file(getattr(tiny_autoencoder, half)(32, 8, True).state_dict(), place / f"{half}.safetensors")
    settings = [f"autoencoder={place}", "parameterisation=flow", "loop.steps=2", "widths=[16]", *QUIET]
    train("rival", "text-encoder-diffusion-debug", captioned_data, tmp_path / "run", settings, **OPTIONS)
    model = lantu.load(tmp_path / "run/model", "cpu")
    assert model.parts.denoiser.parameterisation == "flow"
    picture = model.draw("a cat", seed=0, steps=2)
    assert picture.codes.shape == (32, 32)  # 4 x 4 positions of 32 numbers each
    assert picture.image.size == (32, 32)
    (tmp_path / "run/model/scheduler/scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}')
    with pytest.raises(ModelError, match="assembled with"):
        lantu.load(tmp_path / "run/model", "cpu")


def test_it_is_served_with_previews(run, tmp_path):
    folder = assemble_rival(run, tmp_path / "mine", draw={"steps": 6})
    card = (tmp_path / "mine/README.md").read_text()
    assert "Rombach" in card
    assert "6 steps of the denoiser" in card
    assert folder.digest == lantu.load(run / "model", "cpu").digest
    served_alike(tmp_path / "mine", "a cat")


def test_the_words_of_the_data_are_known(run, captioned_data, tmp_path):
    assemble_rival(run, tmp_path / "mine", data=captioned_data)
    model = lantu.load(tmp_path / "mine", "cpu")
    known = model.parts.layout.lexicon is not None
    assert bool(model.parts.layout.unknown_words("a zebra")) == known


def test_another_autoencoder_is_refused_when_resumed(run, autoencoder, captioned_data, tmp_path):
    other = shutil.copytree(autoencoder / "model", tmp_path / "other")
    weights = next(other.glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    settings = [f"autoencoder={other}"]
    with pytest.raises(RecipeError, match="autoencoder"):
        train("rival", "text-encoder-diffusion-debug", captioned_data, run, settings, resume=True, **OPTIONS)
