"""ControlNets of pretrained UNets: equal to diffusers' own pipelines, trained by a recipe, used by the model."""

import json
import shutil

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_pipelines import parts as pipeline_parts
from tiny_pipelines import write

from lantu import recipes
from lantu.diffusion.sample import sample
from lantu.errors import LantuError, ModelError
from lantu.models.diffusers.adopt import Choices, TokenizerCodes, adopt
from lantu.models.diffusers.control import ControlConfig, PretrainedControl, begin
from lantu.models.diffusers.pretrained import Pretrained
from lantu.pipeline import Control, Model
from lantu.recipes.adopt_decoder import adopt_decoder
from lantu.recipes.assemble import assemble
from lantu.types import MASK_CODE

CODES = np.arange(16).reshape(1, 4, 4)
STEPS = 3


def randomised(controlnet):
    """A ControlNet whose output layers do something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in controlnet.parameters():
            if not value.any():
                value.copy_(0.2 * torch.randn(value.shape, generator=generator))
    return controlnet


@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_a_controlled_decoder_renders_as_diffusers_controlnet_pipeline_does(tmp_path, name):
    write(name, tmp_path / "published")
    codes = TokenizerCodes(torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), "d" * 64)
    adopt(tmp_path / "published", codes, tmp_path / "decoder", Choices(4, width=32, layers=1))
    pretrained = Pretrained.load(tmp_path / "decoder")
    decoder, network = pretrained.decoder(), pretrained.network
    fresh = begin(network, pretrained.codec.factor)
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)
    config = ControlConfig(patch=4, codebook_size=16)
    plain = sample(decoder, CODES, [7], STEPS)
    untrained = PretrainedControl(config, fresh).steer(decoder, picture, "edges", 1.0)
    assert np.array_equal(sample(untrained, CODES, [7], STEPS), plain)  # zero layers change no bit

    PretrainedControl(config, randomised(fresh)).save(tmp_path / "control")
    theirs = diffusers.ControlNetModel.from_pretrained(tmp_path / "control" / "controlnet")
    unet, vae, scheduler = pipeline_parts(name)
    given = {"vae": vae, "unet": unet, "controlnet": theirs, "scheduler": scheduler}
    given |= {"text_encoder": None, "tokenizer": None}
    noise = np.random.default_rng((7, 1)).standard_normal(decoder.noise_shape(4, 4), np.float32)[None]
    with torch.inference_mode():
        context, pooled, _ = network.adapter(torch.from_numpy(CODES))
        negative = network.adapter(torch.full(CODES.shape, MASK_CODE))
        call = {"prompt_embeds": context, "negative_prompt_embeds": negative[0], "guidance_scale": 2.0}
        if name == "sd":
            more = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
            pipeline = diffusers.StableDiffusionControlNetPipeline(**given, **more)
        else:
            pipeline = diffusers.StableDiffusionXLControlNetPipeline(
                **given, text_encoder_2=None, tokenizer_2=None, add_watermarker=False
            )
            call |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": negative[1]}
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(
            image=torch.from_numpy(picture / 2 + 0.5),
            latents=torch.from_numpy(noise),
            num_inference_steps=STEPS,
            controlnet_conditioning_scale=0.7,
            output_type="pt",
            **call,
        ).images
    steered = PretrainedControl.load(tmp_path / "control").steer(decoder, picture, "edges", 0.7)
    ours = sample(steered, CODES, [7], STEPS, guidance=2.0)
    np.testing.assert_allclose(ours / 2 + 0.5, made.float().numpy(), atol=2e-4)
    assert np.abs(ours - sample(decoder, CODES, [7], STEPS, guidance=2.0)).max() > 1e-3


@pytest.fixture(scope="module")
def decoder(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adopted")
    write("sd", folder / "sd")
    adopt_decoder(str(folder / "sd"), tiny_model, folder / "decoder", size=32, width=32, layers=1)
    return folder / "decoder"


@pytest.fixture(scope="module")
def run(decoder, tiny_model, captioned, tmp_path_factory):
    """A run that trained a ControlNet for a few steps, strongly."""
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = [f"tokenizer={tiny_model / 'tokenizer'}", f"start={decoder}", "loop.steps=4", "loop.lr=0.05"]
    recipes.train("control", "controlnet-debug", captioned, out, settings, device="cpu", progress=False)
    return out


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    from lantu.data.build import build_folder

    folder = tmp_path_factory.mktemp("pictures")
    for number in range(8):
        picture = Image.new("RGB", (32, 32), "white")
        picture.paste((200, 30, 20 * number), (4 + number, 8, 20 + number, 24))
        picture.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a box\n")
    out = tmp_path_factory.mktemp("data") / "data"
    build_folder(folder, out, size=32)
    return out


@pytest.fixture(scope="module")
def model(run, decoder, tiny_model, tmp_path_factory):
    """A model whose pretrained decoder has a control."""
    out = tmp_path_factory.mktemp("models") / "controlled"
    return assemble(tiny_model, tiny_model, decoder, out, draw={"steps": 2, "guidance": 1.0}, control=run).path


def test_only_the_controlnet_learns_and_a_killed_run_ends_the_same(run, decoder, tiny_model, captioned, tmp_path):
    from lantu.recipes.pretrained_control import Task, debug
    from lantu.training.config import override

    settings = [f"tokenizer={tiny_model / 'tokenizer'}", f"start={decoder}", "loop.steps=4", "loop.lr=0.05"]
    made = Task(override(debug(), [*settings, "loop.device=cpu"]), captioned)
    made.loss("model", made.batch(0, 2), 0, torch.Generator())[0].backward()
    assert all(value.grad is None for value in made.model.parameters())
    assert any(value.grad is not None and value.grad.any() for value in made.controlnet.parameters())
    options = {"device": "cpu", "progress": False}
    recipes.train(
        "control",
        "controlnet-debug",
        captioned,
        tmp_path / "run",
        [*settings, "loop.steps=2", "loop.decay_fraction=0"],
        **options,
    )
    more = ["loop.steps=4", "loop.decay_fraction=0"]
    recipes.train("control", "controlnet-debug", captioned, tmp_path / "run", more, resume=True, **options)
    recipes.train("control", "controlnet-debug", captioned, tmp_path / "whole", [*settings, *more], **options)
    file = "model/controlnet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_drawings_follow_the_control(model, lantu):
    opened = Model.load(model)
    assert opened.folder.controlled
    white = Image.new("RGB", (32, 32), "white")
    plain = np.asarray(opened.draw("a cat", seed=3).image)
    off = opened.draw("a cat", seed=3, control=Control(white, "edges", 0.0))
    on = opened.draw("a cat", seed=3, control=Control(white, "edges", 2.0))
    assert np.array_equal(plain, np.asarray(off.image))
    assert not np.array_equal(plain, np.asarray(on.image))
    assert np.array_equal(off.codes, on.codes)  # the draft is that of the prompt
    white.save("edges.png")
    code, _, err = lantu("draw", "a cat", "--model", model, "--control", "edges.png", "--seed", 3, "-o", "a.png")
    assert (code, err) == (0, "")
    with pytest.raises(LantuError, match="follows edges, not colour"):
        opened.draw("a cat", seed=3, control=Control(white, "colour"))


def test_what_does_not_fit_is_refused(model, run, decoder, tiny_model, tmp_path):
    parts = {part: tiny_model / part for part in ("tokenizer", "language", "decoder")}
    with pytest.raises(ModelError, match="control"):
        assemble(**parts, out=tmp_path / "model", control=run)
    copy = shutil.copytree(model, tmp_path / "copy")
    config = json.loads((copy / "control/controlnet/config.json").read_text())
    config["block_out_channels"] = [8, 24]
    (copy / "control/controlnet/config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="differs from the file"):
        Model.load(copy)
    with pytest.raises(LantuError, match="has no ControlNet here"):
        begin(Pretrained.load(decoder).network.__class__.__new__(FakeNetwork), 2)


class FakeNetwork:
    """A network of another class."""

    class kind:
        name = "FluxTransformer2DModel"
