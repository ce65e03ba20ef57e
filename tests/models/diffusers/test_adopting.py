"""A pretrained decoder as users meet it: adopted, assembled, drawn with, and refused where something is wrong."""

import json

import numpy as np
import pytest
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from tiny_pipelines import write

from lantu.pipeline import Model
from lantu.recipes.adopted_decoder import adopt_decoder
from lantu.recipes.assemble import assemble


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A published Stable Diffusion with a card."""
    folder = tmp_path_factory.mktemp("published") / "sd"
    write("sd", folder)
    (folder / "README.md").write_text('---\nlicense: openrail++\ntags: ["text-to-image"]\n---\n# SD\n')
    return folder


@pytest.fixture(scope="module")
def model(tiny_model, published, tmp_path_factory):
    """The tiny model with a pretrained decoder in the place of its own."""
    folder = tmp_path_factory.mktemp("models")
    adopt_decoder(str(published), tiny_model, folder / "decoder", size=16, width=32, layers=1)
    made = assemble(tiny_model, tiny_model, folder / "decoder", folder / "mixed", draw={"guidance": 2.0, "steps": 3})
    return made.path


def test_the_published_folders_are_kept_and_open_in_diffusers(published, model):
    decoder = model / "decoder"
    for part in ("unet", "vae"):
        name = "diffusion_pytorch_model.safetensors"
        assert (decoder / part / name).read_bytes() == (published / part / name).read_bytes()
    UNet2DConditionModel.from_pretrained(decoder / "unet")
    AutoencoderKL.from_pretrained(decoder / "vae")
    config = json.loads((decoder / "config.json").read_text())
    assert config["license"] == "openrail++"
    assert config["patch"] == 4


def test_it_draws_by_the_command_and_the_library(lantu, model):
    code, out, err = lantu("draw", "a cat on the left", "--model", model, "--seed", 7, "-n", 2, "-o", "a.png", "--json")
    assert code == 0, err
    opened = Model.load(model)
    picture = opened.draw("a cat on the left", seed=7)
    with Image.open(json.loads(out)["files"][0]) as drawn:
        assert drawn.size == (16, 16)
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(picture.image))
    assert np.asarray(picture.image).std() > 1


def test_a_picture_is_the_same_in_any_company(model):
    opened = Model.load(model)
    for picture in opened.draw_many("a dog", 3, seed=1):
        alone = opened.draw("a dog", seed=picture.seed)
        np.testing.assert_array_equal(picture.codes, alone.codes)
        np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(alone.image))


def test_previews_steps_guidance_and_samplers(model):
    opened = Model.load(model)
    previews = [step.preview for step in opened.stream("a cat", seed=3) if step.preview is not None]
    assert previews
    assert previews[0].size == (16, 16)
    plain = np.asarray(opened.draw("a cat", seed=3).image)
    for changed in ({"steps": 5}, {"render_guidance": 3.0}, {"sampler": "heun"}):
        assert (np.asarray(opened.draw("a cat", seed=3, **changed).image) != plain).any()


def test_info_tells_where_it_comes_from(lantu, model, published):
    code, out, _ = lantu("info", "--model", model, "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["decoder"] == f"UNet2DConditionModel, {published}, openrail++"
    assert facts["pixels"] == "16x16"
    assert facts["parameters"]["decoder"] > 10_000
