"""A Stable Diffusion that diffusers saved, opened as it is: the pipeline's pictures, editing, previews, refusals."""

import copy
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_stable_diffusion import make

import lantu
from lantu.errors import LantuError, ModelError
from lantu.models import registry
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture(scope="module")
def model(folder):
    return lantu.load(folder, "cpu")


@pytest.mark.parametrize(("prediction", "guidance"), [("epsilon", 3.0), ("v_prediction", 1.0)])
def test_it_draws_what_the_pipeline_draws(tmp_path, prediction, guidance):
    from diffusers import StableDiffusionPipeline

    folder = make(tmp_path / "sd", prediction)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    noise = np.random.default_rng((7, 0)).standard_normal((4, 8, 8), np.float32)
    asked = {"num_inference_steps": 4, "guidance_scale": guidance, "latents": torch.from_numpy(noise)[None]}
    wanted = pipeline("a cat", output_type="latent", height=16, width=16, **asked).images[0]
    model = lantu.load(folder, "cpu")
    picture = model.draw("a cat", seed=7, steps=4, guidance=guidance)
    found = model.folder.latent_codes.unpack(picture.codes[None])[0]
    assert np.abs(found - wanted.numpy().clip(-8, 8)).max() < 2e-3  # of random weights; true ones stay within ±5
    if prediction == "epsilon":
        return
    pixels = pipeline("a cat", output_type="np", height=16, width=16, **asked).images[0]
    assert np.abs(np.asarray(picture.image) / 255 - pixels).max() < 0.02
    assert np.abs(found - noise).max() > 0.1


def test_it_says_what_it_is(folder, model):
    assert registry.family_of(folder).name == "text-encoder-diffusion"
    facts = model.info()
    assert facts["pixels"] == "16x16"
    assert facts["steps"] == 50
    assert facts["parameters"]["unet"] == sum(each.numel() for each in model.parts.denoiser.unet.parameters())
    assert facts["draw"]["guidance"] == 7.5


def test_one_seed_one_picture_whatever_shares_the_batch(model, folder):
    three = model.draw_many("a cat", 3, seed=1, steps=2)
    for one in three:
        alone = lantu.load(folder, "cpu").draw("a cat", seed=one.seed, steps=2)
        assert np.array_equal(alone.codes, one.codes)
        assert np.array_equal(np.asarray(alone.image), np.asarray(one.image))
    assert not np.array_equal(three[0].codes, three[1].codes)
    together = model.draw_all(["a cat"] * 3, [one.seed for one in three], batched=True, steps=2)
    for one, other in zip(three, together, strict=True):
        assert np.abs(one.codes - other.codes).max() <= 8  # in steps of 1/4096
    assert not np.array_equal(model.draw("a dog", seed=1, steps=2).codes, three[0].codes)


def test_a_draft_that_anothers_callback_cancels_ends_there(model):
    parts, params = model.parts, model.folder.settings.change(steps=1)
    drafter = parts.batched_drafter
    drafts = []
    for seed in (0, 1):
        request = parts.layout.draw("a cat", model.folder.grid, seed, params)
        drafts.append(drafter.submit(request, lambda ids: drafter.cancel(drafts[1])))
    while drafter.step():
        pass
    assert [draft.state for draft in drafts] == ["done", "cancelled"]


def test_previews_come_closer(model):
    *steps, last = model.stream("a cat", seed=2, steps=6)
    assert 2 <= len(steps) <= 5
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)
    assert steps[0].fraction < 0.5
    assert all((step.codes != MASK_CODE).all() for step in steps)
    errors = [np.abs(step.codes - last.codes).mean() for step in steps]
    assert errors[-1] < errors[0]
    assert np.array_equal(last.codes, model.draw("a cat", seed=2, steps=6).codes)


def test_editing_leaves_the_rest(model):
    picture = model.draw("a cat", seed=3, steps=4)
    edited = model.edit(picture, "a dog", box=(0, 0, 8, 16), seed=4, steps=4)
    assert np.array_equal(edited.codes[:, 8:], picture.codes[:, 8:])
    assert (edited.codes[:, :8] != picture.codes[:, :8]).any()
    before, after = (np.asarray(one.image) for one in (picture, edited))
    assert np.array_equal(before[:, 9:], after[:, 9:])
    drawn = model.edit(picture.image, "a dog", box=(8, 8, 16, 16), seed=4, steps=4)  # of which only pixels are known
    assert drawn.codes.shape == (16, 16)


def test_codes_are_the_autoencoders_latents(model):
    picture = model.draw("a cat", seed=5, steps=2)
    again = model.render(picture.codes)
    assert np.array_equal(np.asarray(again.image), np.asarray(picture.image))
    pixels = np.asarray(picture.image)[None].transpose(0, 3, 1, 2) / np.float32(127.5) - 1
    latents = model.parts.codec.encode(pixels.astype(np.float32)).numpy()
    assert np.array_equal(model.tokenize(picture.image)[None], model.folder.latent_codes.pack(latents))


def test_what_means_nothing_is_refused(model):
    for wrong in ({"temperature": 0.5}, {"sampler": "heun"}, {"top_k": 3}):
        with pytest.raises(LantuError):
            model.draw("a cat", **wrong)
    with pytest.raises(LantuError, match="tokens"):
        model.draw("a b c d e f g h i j k l m n o p")
    layout = copy.copy(model.parts.layout)
    layout.text = SimpleNamespace(
        encode=lambda text: [1, 2], folder="here", tokenizer=SimpleNamespace(pad_token_id=None)
    )
    with pytest.raises(ModelError, match="no padding token"):
        layout.padded("a cat")
    with pytest.raises(LantuError):
        model.caption(model.draw("a cat", seed=0, steps=1))
    with pytest.raises(LantuError):
        model.draw("a cat", size=(64, 64))


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("unet/config.json", {"cross_attention_dim": 24}),
        ("unet/config.json", {"_class_name": "SomethingElse"}),
        ("unet/config.json", {"out_channels": 8}),
        ("text_encoder/config.json", {"hidden_size": 24}),
        ("text_encoder/config.json", {"model_type": "bert"}),
        ("vae/config.json", {"latent_channels": 8}),
        ("scheduler/scheduler_config.json", {"prediction_type": "magic"}),
        ("model_index.json", {"draw": {"magic": 1}}),
        ("model_index.json", {"unet": ["somewhere", "Else"]}),
    ],
)
def test_what_does_not_fit_is_refused(folder, tmp_path, file, change):
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / file).write_text(json.dumps(json.loads((broken / file).read_text()) | change))
    with pytest.raises(ModelError):
        lantu.load(broken, "cpu")
